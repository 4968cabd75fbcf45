package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"
)

// playRelay is a relay's websocket channel of which each connection, from number
// 1 on, is played by a function until that returns. AUTH has been read by then.
func playRelay(t *testing.T, play func(ws *websocket.Conn, number int32)) (server string) {
	t.Helper()
	var number atomic.Int32
	relay := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer ws.Close()
		var login packet
		if err := ws.ReadJSON(&login); err != nil || login.Cmd != "AUTH" {
			t.Errorf("the first packet is %+v, %v", login, err)
		}
		play(ws, number.Add(1))
	}))
	t.Cleanup(relay.Close)
	return "ws" + strings.TrimPrefix(relay.URL, "http")
}

// speak writes packets.
func speak(t *testing.T, ws *websocket.Conn, packets ...string) {
	t.Helper()
	for _, text := range packets {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Error(err)
		}
	}
}

const (
	letIn   = `{"cmd":"AUTH","data":{"code":200,"msg":"ok","auth":"a"}}`
	aHello  = `{"cmd":"MESSAGE","data":{"mid":"7","sendType":"personal","target":"phone","from":{"method":"http","name":""},"message":{"text":"hello","desp":"","extra":{}}}}`
	errFull = syscall.ENOSPC
)

// fullDisk takes nothing.
type fullDisk struct{}

// Write fails.
func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestWhatCouldNotBeShownIsNotAcknowledged(t *testing.T) {
	for _, json := range []bool{false, true} {
		server := playRelay(t, func(ws *websocket.Conn, _ int32) {
			speak(t, ws, letIn, aHello)
			var answer packet
			if err := ws.ReadJSON(&answer); err == nil {
				t.Errorf("json %v: the answer is %s %s", json, answer.Cmd, answer.Data)
			}
		})
		l := &listening{name: "phone", server: server, json: json, once: true, out: fullDisk{}, say: io.Discard}
		if err := l.run(t.Context()); !errors.Is(err, errFull) || exitCode(err) != exitFailed || !strings.Contains(err.Error(), "7 is not acknowledged") {
			t.Errorf("json %v: %v", json, err)
		}
	}
}

func TestWhatWasShownIsAcknowledged(t *testing.T) {
	server := playRelay(t, func(ws *websocket.Conn, _ int32) {
		speak(t, ws, letIn, aHello)
		var answer packet
		if err := ws.ReadJSON(&answer); err != nil || answer.Cmd != "MESSAGE_CALLBACK" || !strings.Contains(string(answer.Data), `"7"`) {
			t.Errorf("the answer is %s %s, %v", answer.Cmd, answer.Data, err)
		}
		_, _, _ = ws.ReadMessage() // its goodbye, which is answered
	})
	var out bytes.Buffer
	l := &listening{name: "phone", server: server, once: true, out: &out, say: io.Discard}
	if err := l.run(t.Context()); err != nil || !strings.Contains(out.String(), "  hello  from http\n") {
		t.Errorf("%v, %q", err, out.String())
	}
}
