package harness

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// Client is one websocket, a receiver's once it is authenticated. What comes is
// read by a goroutine of its own, which ends with the socket; the test's end
// closes it. One goroutine at a time may send, one may take what came.
type Client struct {
	// Name is what Auth was called with last.
	Name string

	conn    *websocket.Conn
	frames  chan string   // what came and was not taken yet
	pongs   chan string   // the data of protocol pongs
	closing chan struct{} // the test is done with the socket
	ended   chan struct{} // nothing is read any more
	err     error         // why; valid once ended is closed
}

// maxUntaken bounds the frames that wait to be taken; reading pauses beyond it.
const maxUntaken = 4096

// Dial opens a websocket without authenticating.
func (r *Relay) Dial(t testing.TB) *Client {
	t.Helper()
	return r.DialPath(t, "/")
}

// DialPath is Dial with another path.
func (r *Relay) DialPath(t testing.TB, path string) *Client {
	t.Helper()
	dialer := websocket.Dialer{HandshakeTimeout: Patience}
	conn, response, err := dialer.Dial("ws://"+r.Address(t, "websocket")+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	c := &Client{
		conn: conn, frames: make(chan string, maxUntaken), pongs: make(chan string, 16),
		closing: make(chan struct{}), ended: make(chan struct{}),
	}
	conn.SetPongHandler(func(data string) error {
		c.pongs <- data
		return nil
	})
	go c.read()
	t.Cleanup(func() {
		close(c.closing)
		_ = conn.Close()
		<-c.ended
	})
	return c
}

// RefusedDial opens a websocket, which the server must refuse, and returns the
// HTTP status and body of its answer.
func (r *Relay) RefusedDial(t testing.TB) (status int, body string) {
	t.Helper()
	dialer := websocket.Dialer{HandshakeTimeout: Patience}
	conn, response, err := dialer.Dial("ws://"+r.Address(t, "websocket")+"/", nil)
	if err == nil {
		_ = conn.Close()
		t.Fatal("the websocket was not refused")
	}
	if response == nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func (c *Client) read() {
	defer close(c.ended)
	for {
		_, frame, err := c.conn.ReadMessage()
		if err != nil {
			c.err = err
			return
		}
		select {
		case c.frames <- string(frame):
		case <-c.closing:
			return
		}
	}
}

// Send writes one text frame.
func (c *Client) Send(t testing.TB, frame string) {
	t.Helper()
	c.SendAs(t, websocket.TextMessage, frame)
}

// SendAs writes one frame of a type, as gorilla/websocket names them.
func (c *Client) SendAs(t testing.TB, kind int, frame string) {
	t.Helper()
	if err := c.send(kind, frame); err != nil {
		t.Fatal(err)
	}
}

func (c *Client) send(kind int, frame string) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(Patience)); err != nil {
		return err
	}
	return c.conn.WriteMessage(kind, []byte(frame))
}

// Next waits for the next frame.
func (c *Client) Next(t testing.TB) string {
	t.Helper()
	frame, err := c.next()
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

func (c *Client) next() (string, error) {
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	select {
	case frame := <-c.frames:
		return frame, nil
	case <-timer.C:
		return "", errors.New("nothing came")
	case <-c.ended:
		select {
		case frame := <-c.frames:
			return frame, nil
		default:
			return "", fmt.Errorf("the socket ended: %w", c.err)
		}
	}
}

// Expect waits for the next packet and compares it as Match does.
func (c *Client) Expect(t testing.TB, want string) map[string]string {
	t.Helper()
	return Match(t, c.Next(t), want)
}

// ExpectInfo waits for an INFO packet whose text has all these parts.
func (c *Client) ExpectInfo(t testing.TB, parts ...string) {
	t.Helper()
	info := c.Expect(t, `{"cmd":"INFO","data":"<info>"}`)["info"]
	for _, part := range parts {
		if !strings.Contains(info, part) {
			t.Errorf("INFO %q does not say %q", info, part)
		}
	}
}

// ExpectNothing makes sure that the server had nothing for this socket before it
// came to answer a PING.
func (c *Client) ExpectNothing(t testing.TB) {
	t.Helper()
	c.Send(t, `{"cmd":"PING"}`)
	c.Expect(t, `{"cmd":"PONG","data":""}`)
}

// ExpectEnd waits for the end of the socket, before which nothing more may come,
// and returns the close code, 1006 if there was none.
func (c *Client) ExpectEnd(t testing.TB) (code int) {
	t.Helper()
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	select {
	case <-c.ended:
	case <-timer.C:
		t.Fatal("the socket is still open")
	}
	select {
	case frame := <-c.frames:
		t.Fatalf("before the end came %s", frame)
	default:
	}
	if closed, ok := errors.AsType[*websocket.CloseError](c.err); ok {
		return closed.Code
	}
	return websocket.CloseAbnormalClosure
}

// Close closes the socket without a goodbye, as phones do.
func (c *Client) Close() {
	_ = c.conn.Close()
	<-c.ended
}

// Ping sends a protocol ping and waits for its pong.
func (c *Client) Ping(t testing.TB, data string) {
	t.Helper()
	if err := c.conn.WriteControl(websocket.PingMessage, []byte(data), time.Now().Add(Patience)); err != nil {
		t.Fatal(err)
	}
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	select {
	case pong := <-c.pongs:
		if pong != data {
			t.Errorf("pong %q, not %q", pong, data)
		}
	case <-c.ended:
		t.Fatalf("the socket ended: %v", c.err)
	case <-timer.C:
		t.Fatal("no pong came")
	}
}
