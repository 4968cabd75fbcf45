package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gorilla/websocket"

	"mpush/test/harness"
)

// receiver acks what comes as cheaply as it can: its work would else be measured
// as the relay's.
type receiver struct {
	conn *websocket.Conn
	got  *atomic.Int64 // messages, over all receivers that share it
}

// dial opens an authenticated receiver and lets it run until the test ends.
func dial(b *testing.B, r *harness.Relay, name, group string, got *atomic.Int64) *receiver {
	b.Helper()
	conn, _, err := websocket.DefaultDialer.Dial("ws://"+r.Address(b, "websocket"), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	if err := conn.WriteMessage(websocket.TextMessage, []byte(harness.AuthPacket(r.Token, name, group))); err != nil {
		b.Fatal(err)
	}
	_, reply, err := conn.ReadMessage()
	if err != nil || !bytes.Contains(reply, []byte(`"code":200`)) {
		b.Fatalf("AUTH: %s, %v", reply, err)
	}
	w := &receiver{conn: conn, got: got}
	go w.run()
	return w
}

func (w *receiver) run() {
	for {
		_, packet, err := w.conn.ReadMessage()
		if err != nil {
			return
		}
		_, rest, found := bytes.Cut(packet, []byte(`"mid":"`))
		if !found {
			continue
		}
		mid, _, _ := bytes.Cut(rest, []byte(`"`))
		w.got.Add(1)
		ack := fmt.Appendf(nil, `{"cmd":"MESSAGE_CALLBACK","data":{"mid":"%s"}}`, mid)
		if w.conn.WriteMessage(websocket.TextMessage, ack) != nil {
			return
		}
	}
}

// sender posts messages over one connection and reads the answers.
type sender struct {
	conn   net.Conn
	reader *bufio.Reader
	host   string
}

func newSender(b *testing.B, r *harness.Relay) *sender {
	b.Helper()
	address := r.Address(b, "http")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return &sender{conn: conn, reader: bufio.NewReader(conn), host: address}
}

// text is the body of each message: 128 bytes, as a notification has.
var text = strings.Repeat("0123456789abcdef", 8)

// send posts one message and returns the answer.
func (s *sender) send(sendType, target string) (string, error) {
	body := fmt.Sprintf(`{"cmd":"MESSAGE","data":{"sendType":%q,"target":%q,"message":{"text":"bench","desp":%q,"extra":{}}}}`, sendType, target, text)
	return s.post("/", "", body)
}

// sendNow posts one message and does not wait for its receiver.
func (s *sender) sendNow(target string) (string, error) {
	body := fmt.Sprintf(`{"text":"bench","desp":%q}`, text)
	return s.post(fmt.Sprintf("/%s.send", target), "Prefer: wait=0\r\n", body)
}

// post makes one request over the kept connection.
func (s *sender) post(path, header, body string) (string, error) {
	_, err := fmt.Fprintf(s.conn, "POST %s HTTP/1.1\r\nHost: %s\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, s.host, header, len(body), body)
	if err != nil {
		return "", err
	}
	response, err := http.ReadResponse(s.reader, nil)
	if err != nil {
		return "", err
	}
	answer, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", response.StatusCode, answer)
	}
	return string(answer), err
}
