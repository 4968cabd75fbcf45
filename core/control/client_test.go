package control

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A process that is stopped still has its socket taken for it.
func TestRelayThatDoesNotAnswerIsNotAwaitedForEver(t *testing.T) {
	for name, ask := range map[string]func(context.Context, *Client) error{
		"status":   func(ctx context.Context, c *Client) error { _, err := c.Status(ctx); return err },
		"a letter": func(ctx context.Context, c *Client) error { _, err := c.Dead(ctx, "", 0, 1); return err },
	} {
		synctest.Test(t, func(t *testing.T) {
			relay, client := mute(t)
			began := time.Now()
			err := ask(t.Context(), client)
			if err == nil || !strings.Contains(err.Error(), "does not answer within 30s") || time.Since(began) != readTime {
				t.Errorf("%s: after %v: %v", name, time.Since(began), err)
			}
			relay.Close()
		})
	}
	synctest.Test(t, func(t *testing.T) {
		relay, client := mute(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := client.Audit(ctx); err == nil || ctx.Err() == nil { // it reads the whole history
			t.Errorf("an audit is given up: %v", err)
		}
		relay.Close()
	})
}

// mute is a relay that reads and says nothing, and a client of it.
func mute(t *testing.T) (relay net.Conn, client *Client) {
	ours, theirs := net.Pipe()
	go func() { _, _ = io.Copy(new(bytes.Buffer), theirs) }()
	client = newClient("data", "control.sock", 0)
	client.http.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) { return ours, nil }
	return theirs, client
}
