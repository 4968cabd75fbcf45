package websocket

import (
	"io"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

// refusing is a core that refuses every token for a limit.
func refusing() plugintest.Options {
	return plugintest.Options{Answer: func(e *pluginpb.PluginEnvelope) *pluginpb.CoreEnvelope {
		problem := &pluginpb.Error{Code: pluginpb.ErrorCode_ERROR_CODE_LIMIT, Message: "limits.x: too much", RetryAfterMs: 1000}
		if e.GetAttach() == nil {
			return nil
		}
		return &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Session{Session: &pluginpb.SessionResult{Error: problem}}}
	}}
}

// An AUTH packet with a code would keep clients in the field from ever coming
// back: a limit passes.
func TestAddressThatWasWrongTooOftenReadsAnInfo(t *testing.T) {
	_, core := start(t, "", refusing())
	c := dial(t, core)
	for range 2 {
		c.send(`{"cmd":"AUTH","data":{"token":"test","name":"phone"}}`)
		c.expect(info("limits.x: too much"))
	}
}

func TestMessagesBeyondTheRateReadAnInfo(t *testing.T) {
	_, core := start(t, "", plugintest.Options{Publish: func(*pluginpb.Publish) *pluginpb.PublishResult {
		return &pluginpb.PublishResult{Error: &pluginpb.Error{Code: pluginpb.ErrorCode_ERROR_CODE_LIMIT, Message: "limits.x: too much"}}
	}})
	phone := attached(t, core, "phone")
	phone.send(`{"cmd":"MESSAGE","data":{"sendType":"personal","target":"tv","message":{"text":"t"}}}`)
	phone.expect(info("limits.x: too much"))
	phone.silent()
}

// Clients behind a trusted proxy are told apart by X-Forwarded-For, and the
// proxy itself is not counted.
func TestSocketsOfOneAddressBehindAProxyAreBounded(t *testing.T) {
	p, core := start(t, `"maxConnectionsPerAddress":2`, plugintest.Options{TrustedProxies: []string{"127.0.0.0/8"}})
	forwarded := func(client string) http.Header {
		if client == "" {
			return nil
		}
		return http.Header{"X-Forwarded-For": {client}}
	}
	var first *client
	for _, client := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2", "2001:db8::1", "2001:db8::2", "", "", "", ""} {
		c := dialAt(t, core, "/", forwarded(client))
		if first == nil {
			first = c
		}
	}
	for _, client := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::3"} {
		ws, response, err := websocket.DefaultDialer.Dial("ws://"+core.Endpoints()[0], forwarded(client))
		if err == nil {
			ws.Close()
			t.Fatalf("%s has one more", client)
		}
		body, _ := io.ReadAll(response.Body)
		if response.StatusCode != 429 || string(body) != info("websocket.maxConnectionsPerAddress: too many connections from this address") {
			t.Errorf("%s: got %d %s", client, response.StatusCode, body)
		}
	}
	// A handshake that fails takes no room.
	for range 5 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+core.Endpoints()[0], nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header = forwarded("192.0.2.3")
		request.Close = true
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != 400 {
			t.Errorf("no handshake: %d", response.StatusCode)
		}
	}
	dialAt(t, core, "/", forwarded("192.0.2.3"))

	p.hub.await(t, 11)
	first.ws.Close()
	p.hub.await(t, 10)
	dialAt(t, core, "/", forwarded("192.0.2.1"))
}

// await waits until so many sockets are open.
func (h *hub) await(t *testing.T, sockets int) {
	t.Helper()
	for deadline := time.Now().Add(plugintest.Patience); ; runtime.Gosched() {
		h.mu.RLock()
		now := len(h.conns)
		h.mu.RUnlock()
		if now == sockets {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d sockets, want %d", now, sockets)
		}
	}
}
