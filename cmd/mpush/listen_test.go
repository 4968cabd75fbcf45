package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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

// closing ends a connection with a code.
func closing(t *testing.T, ws *websocket.Conn, code int, text string) {
	t.Helper()
	if err := ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(code, text)); err != nil {
		t.Error(err)
	}
}

func TestListenComesAgainAfterARefusalThatPasses(t *testing.T) {
	server := playRelay(t, func(ws *websocket.Conn, number int32) {
		switch number {
		case 1:
			speak(t, ws, `{"cmd":"INFO","data":"the disk is almost full"}`)
			closing(t, ws, websocket.CloseTryAgainLater, "temporarily unavailable")
		case 2: // and the socket stays open
			speak(t, ws, `{"cmd":"INFO","data":"limits.authFailures: too many"}`)
		case 3:
			closing(t, ws, websocket.ClosePolicyViolation, "no AUTH in time")
		default:
			speak(t, ws, letIn, aHello)
		}
		_, _, _ = ws.ReadMessage() // the acknowledgement, or the end
		_, _, _ = ws.ReadMessage()
	})
	var out, say bytes.Buffer
	l := &listening{name: "phone", server: server, once: true, out: &out, say: &say}
	if err := l.run(t.Context()); err != nil || !strings.Contains(out.String(), "hello") {
		t.Errorf("%v, %q", err, out.String())
	}
	for _, part := range []string{"the disk is almost full; trying again in", "limits.authFailures: too many; trying again in"} {
		if strings.Count(say.String(), part) != 1 {
			t.Errorf("it does not say %q:\n%s", part, say.String())
		}
	}
}

func TestListenEndsAfterARefusalThatStays(t *testing.T) {
	for _, row := range []struct {
		says string
		play func(ws *websocket.Conn)
	}{
		{"Token invalid", func(ws *websocket.Conn) {
			speak(t, ws, `{"cmd":"AUTH","data":{"code":403,"msg":"Token invalid"}}`)
		}},
		{"forgotten", func(ws *websocket.Conn) { closing(t, ws, websocket.CloseNormalClosure, "forgotten") }},
		{"taken over", func(ws *websocket.Conn) {
			speak(t, ws, letIn, `{"cmd":"INFO","data":"how are you"}`)
			closing(t, ws, websocket.CloseNormalClosure, "taken over")
		}},
	} {
		server := playRelay(t, func(ws *websocket.Conn, number int32) {
			if number > 1 {
				t.Errorf("%s: it comes again", row.says)
			}
			row.play(ws)
			_, _, _ = ws.ReadMessage() // the end
		})
		l := &listening{name: "phone", server: server, out: io.Discard, say: io.Discard}
		if err := l.run(t.Context()); err == nil || !strings.Contains(err.Error(), row.says) || exitCode(err) != exitFailed {
			t.Errorf("%s: %v", row.says, err)
		}
	}
}

func TestNamesThatCanNotBeAreNotTried(t *testing.T) {
	for _, l := range []*listening{{}, {name: "a\nb"}, {name: "\xff"}, {name: strings.Repeat("x", 257)}, {name: "a", group: "\x7f"}} {
		l.server, l.say = "ws://127.0.0.1:1", io.Discard
		if err := l.run(t.Context()); err == nil || exitCode(err) != exitUsage || !strings.Contains(err.Error(), "256 bytes") {
			t.Errorf("%q, %q: %v", l.name, l.group, err)
		}
	}
}

// What a proxy answers for a relay that is down passes, what it answers for a
// wrong address does not.
func TestListenTellsWhatElseAnswers(t *testing.T) {
	for status, final := range map[int]bool{301: true, 401: true, 404: true, 429: false, 502: false} {
		var asked atomic.Int32
		ctx, cancel := context.WithCancel(t.Context())
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if asked.Add(1) > 1 {
				cancel()
			}
			w.WriteHeader(status)
		}))
		var say bytes.Buffer
		l := &listening{name: "phone", server: "ws" + strings.TrimPrefix(server.URL, "http"), out: io.Discard, say: &say}
		err := l.run(ctx)
		text := fmt.Sprint(say.String(), err)
		if (asked.Load() == 1) != final || !strings.Contains(text, fmt.Sprint("answers with HTTP status ", status, ": is it the websocket channel")) {
			t.Errorf("%d: asked %d times: %s", status, asked.Load(), text)
		}
		cancel()
		server.Close()
	}
}

func TestListenThatWasLetInComesBackWhateverAProxySays(t *testing.T) {
	var number atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if number.Add(1) == 2 {
			http.NotFound(w, r)
			return
		}
		ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer ws.Close()
		if _, _, err := ws.ReadMessage(); err != nil {
			t.Error(err)
		}
		if speak(t, ws, letIn); number.Load() == 3 {
			closing(t, ws, websocket.CloseNormalClosure, "forgotten")
			_, _, _ = ws.ReadMessage() // the end
		}
	}))
	defer proxy.Close()
	l := &listening{name: "phone", server: "ws" + strings.TrimPrefix(proxy.URL, "http"), out: io.Discard, say: io.Discard}
	if err := l.run(t.Context()); err == nil || !strings.Contains(err.Error(), "forgotten") || number.Load() != 3 {
		t.Errorf("after %d connections: %v", number.Load(), err)
	}
}

func TestListenTakesNoPasswordInAURL(t *testing.T) {
	l := &listening{name: "phone", server: "wss://me:passw0rd@push.example.org", say: io.Discard}
	if err := l.run(t.Context()); err == nil || exitCode(err) != exitUsage || strings.Contains(err.Error(), "passw0rd") {
		t.Error(err)
	}
}
