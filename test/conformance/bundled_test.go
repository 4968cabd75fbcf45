package conformance

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/gorilla/websocket"

	"mpush/sdk/plugintest"
	"mpush/sdk/plugintest/conformance"
	"mpush/test/harness"
)

// bundled is a bundled channel as the relay runs it.
func bundled(t *testing.T, name, config string) plugintest.Target {
	t.Helper()
	return plugintest.Target{
		Command: []string{harness.Program(t, "mpush"), "plugin", "run", name},
		Config:  config,
	}
}

// endpoint takes every request with this status.
func endpoint(t *testing.T, status int) (origin string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	t.Cleanup(server.Close)
	return server.URL
}

func TestHTTPConforms(t *testing.T) {
	t.Parallel()
	plugintest.Conform(t, bundled(t, "http", `{"port": 0}`))
}

func TestWebsocketConforms(t *testing.T) {
	t.Parallel()
	var clients sync.WaitGroup
	defer clients.Wait()
	target := bundled(t, "websocket", `{"port": 0}`)
	target.FarSide = func(ctx context.Context, endpoints []string) error {
		for _, name := range []string{"phone", "tablet"} {
			if err := receive(ctx, &clients, endpoints[0], name); err != nil {
				return err
			}
		}
		return nil
	}
	plugintest.Conform(t, target)
}

// receive attaches a client and acks what it gets, until ctx or the socket ends.
func receive(ctx context.Context, clients *sync.WaitGroup, address, name string) error {
	type packet struct {
		Cmd  string         `json:"cmd"`
		Data map[string]any `json:"data"`
	}
	conn, response, err := websocket.DefaultDialer.DialContext(ctx, "ws://"+address+"/", nil)
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	if err := conn.WriteJSON(packet{"AUTH", map[string]any{"token": conformance.Token, "name": name}}); err != nil {
		return errors.Join(err, conn.Close())
	}
	var answer packet
	if err := conn.ReadJSON(&answer); err != nil || answer.Data["code"] != 200.0 {
		return errors.Join(fmt.Errorf("AUTH is answered with %v, %w", answer, err), conn.Close())
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	clients.Go(func() {
		defer stop()
		defer conn.Close()
		for {
			var p packet
			if conn.ReadJSON(&p) != nil {
				return
			}
			if p.Cmd == "MESSAGE" && conn.WriteJSON(packet{"MESSAGE_CALLBACK", map[string]any{"mid": p.Data["mid"]}}) != nil {
				return
			}
		}
	})
	return nil
}

func TestWebhookConforms(t *testing.T) {
	t.Parallel()
	plugintest.Conform(t, bundled(t, "webhook", fmt.Sprintf(
		`{"retryTimeout": 100, "clients": [{"name": "wh1", "url": %q}, {"name": "wh2", "group": "hooks", "url": %[1]q}]}`,
		endpoint(t, http.StatusOK))))
}

func TestWebhookWithoutItsEndpointConforms(t *testing.T) {
	t.Parallel()
	plugintest.Conform(t, bundled(t, "webhook", `{"retryTimeout": 100, "clients": [{"name": "wh1", "url": "http://127.0.0.1:1/"}]}`))
}

func TestWebpushConforms(t *testing.T) {
	t.Parallel()
	origin := endpoint(t, http.StatusCreated)
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	auth := make([]byte, 16)
	rand.Read(auth)
	encode := base64.RawURLEncoding.EncodeToString
	target := bundled(t, "webpush", fmt.Sprintf(`{"allowEndpoints": [%q]}`, origin))
	target.Commands = []conformance.Command{{Name: "REGISTER_WEBPUSH", Data: fmt.Sprintf(
		`{"endpoint": "%s/push/1", "keys": {"auth": %q, "p256dh": %q}}`, origin, encode(auth), encode(key.PublicKey().Bytes()))}}
	plugintest.Conform(t, target)
}
