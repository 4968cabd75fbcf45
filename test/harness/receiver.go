package harness

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// Receiver opens a websocket and authenticates as name, in no group.
func (r *Relay) Receiver(t testing.TB, name string) *Client {
	t.Helper()
	c := r.Dial(t)
	c.Auth(t, r.Token, name, "")
	return c
}

// Member is Receiver with a group.
func (r *Relay) Member(t testing.TB, name, group string) *Client {
	t.Helper()
	c := r.Dial(t)
	c.Auth(t, r.Token, name, group)
	return c
}

// Away makes a receiver known that is not connected: when it returns, the core
// knows both. group "" is none.
func (r *Relay) Away(t testing.TB, name, group string) {
	t.Helper()
	c := r.Member(t, name, group)
	// That a socket was closed is noticed some time later. One that goes over to
	// another name has left the first by the time that its next AUTH is answered.
	c.Auth(t, r.Token, "instead of "+name, "")
	c.Auth(t, r.Token, "instead of "+name, "")
	c.Close()
}

// Auth authenticates and returns the session. group "" is left out.
func (c *Client) Auth(t testing.TB, token, name, group string) (auth string) {
	t.Helper()
	c.Name = name
	c.Send(t, AuthPacket(token, name, group))
	return c.Expect(t, `{"cmd":"AUTH","data":{"code":200,"auth":"<auth>","msg":"Successful authentication"}}`)["auth"]
}

// AuthPacket is what a receiver begins with. group "" is left out.
func AuthPacket(token, name, group string) string {
	data := map[string]string{"token": token, "name": name}
	if group != "" {
		data["group"] = group
	}
	text, _ := json.Marshal(Object{"cmd": "AUTH", "data": data}) // strings and maps
	return string(text)
}

// Message is what a receiver reads of a MESSAGE packet.
type Message struct {
	MID  string
	Text string
}

// Receive waits for the next packet, which must be a MESSAGE. Other goroutines
// than the test's may call it, and Confirm.
func (c *Client) Receive() (Message, error) {
	frame, err := c.next()
	if err != nil {
		return Message{}, err
	}
	var packet struct {
		Cmd  string
		Data struct {
			MID     string
			Message struct{ Text string }
		}
	}
	if err := json.Unmarshal([]byte(frame), &packet); err != nil || packet.Cmd != "MESSAGE" {
		return Message{}, fmt.Errorf("expected a MESSAGE, got %s", frame)
	}
	return Message{MID: packet.Data.MID, Text: packet.Data.Message.Text}, checkMID(packet.Data.MID)
}

// Confirm tells the server that a message has arrived.
func (c *Client) Confirm(mid string) error {
	return c.send(websocket.TextMessage, fmt.Sprintf(`{"cmd":"MESSAGE_CALLBACK","data":{"mid":%q}}`, mid))
}

// Ask sends a frame and waits for the next that comes. Other goroutines than the
// test's may call it.
func (c *Client) Ask(frame string) (string, error) {
	if err := c.send(websocket.TextMessage, frame); err != nil {
		return "", err
	}
	return c.next()
}

// NextMessage is Receive for the test's own goroutine.
func (c *Client) NextMessage(t testing.TB) Message {
	t.Helper()
	m, err := c.Receive()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Ack is Confirm for the test's own goroutine.
func (c *Client) Ack(t testing.TB, mid string) {
	t.Helper()
	if err := c.Confirm(mid); err != nil {
		t.Fatal(err)
	}
}

// ExpectText waits for a message with this text and returns its mid.
func (c *Client) ExpectText(t testing.TB, text string) (mid string) {
	t.Helper()
	m := c.NextMessage(t)
	if m.Text != text {
		t.Fatalf("message %q came, not %q", m.Text, text)
	}
	return m.MID
}

// Take is ExpectText followed by an ack.
func (c *Client) Take(t testing.TB, text string) (mid string) {
	t.Helper()
	mid = c.ExpectText(t, text)
	c.Ack(t, mid)
	return mid
}

// checkMID checks that a mid is what clients make a date of: a 64-bit number of
// milliseconds, and of this age.
func checkMID(mid string) error {
	ms, err := strconv.ParseInt(mid, 10, 64)
	if err != nil || strconv.FormatInt(ms, 10) != mid || time.UnixMilli(ms).Year() < 2020 {
		return fmt.Errorf("mid %q is no count of Unix milliseconds", mid)
	}
	return nil
}
