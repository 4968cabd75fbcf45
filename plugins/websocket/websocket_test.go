package websocket

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"mpush/sdk/plugintest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs the channel on a free port of loopback. config is the inside of
// its section.
func start(t testing.TB, config string, o plugintest.Options) (*plugin, *plugintest.Core) {
	t.Helper()
	if config != "" {
		config = "," + config
	}
	o.Config = `{"host":"127.0.0.1","port":0` + config + `}`
	p := New().(*plugin)
	return p, plugintest.Start(t, p, o)
}

// client is a receiver.
type client struct {
	t  testing.TB
	ws *websocket.Conn
}

func dial(t testing.TB, core *plugintest.Core) *client {
	t.Helper()
	return dialAt(t, core, "/", nil)
}

func dialAt(t testing.TB, core *plugintest.Core, path string, header http.Header) *client {
	t.Helper()
	ws, response, err := websocket.DefaultDialer.Dial("ws://"+core.Endpoints()[0]+path, header)
	if err != nil {
		t.Fatalf("dial: %v %+v", err, response)
	}
	t.Cleanup(func() { ws.Close() })
	// For all that a test waits for on this socket.
	ws.SetReadDeadline(time.Now().Add(3 * plugintest.Patience))
	return &client{t, ws}
}

func (c *client) send(text string) {
	c.t.Helper()
	if err := c.ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

func (c *client) receive() string {
	c.t.Helper()
	kind, text, err := c.ws.ReadMessage()
	if err != nil {
		c.t.Fatalf("receive: %v", err)
	}
	if kind != websocket.TextMessage {
		c.t.Errorf("a frame of type %d", kind)
	}
	return string(text)
}

func (c *client) expect(want string) {
	c.t.Helper()
	if got := c.receive(); got != want {
		c.t.Fatalf("\n got %s\nwant %s", got, want)
	}
}

// silent makes sure that the channel has said nothing so far.
func (c *client) silent() {
	c.t.Helper()
	c.send(`{"cmd":"PING"}`)
	c.expect(`{"cmd":"PONG","data":""}`)
}

// expectClose waits for the end and returns the close frame's code and text.
func (c *client) expectClose(code int) string {
	c.t.Helper()
	for {
		_, text, err := c.ws.ReadMessage()
		if closed, ok := errors.AsType[*websocket.CloseError](err); ok {
			if closed.Code != code {
				c.t.Fatalf("closed with %d %q, want %d", closed.Code, closed.Text, code)
			}
			return closed.Text
		}
		if err != nil {
			c.t.Fatalf("ended without a close frame: %v", err)
		}
		c.t.Fatalf("not closed, but told %s", text)
	}
}

// attached is a socket of a receiver that has authenticated.
func attached(t testing.TB, core *plugintest.Core, name string) *client {
	t.Helper()
	c := dial(t, core)
	c.login(name)
	return c
}

func (c *client) login(name string) {
	c.t.Helper()
	c.send(`{"cmd":"AUTH","data":{"token":"test","name":"` + name + `"}}`)
	if got := c.receive(); !strings.HasPrefix(got, `{"cmd":"AUTH","data":{"code":200,"auth":"auth//`+name+`"`) {
		c.t.Fatalf("AUTH of %s: %s", name, got)
	}
}

func info(text string) string { return `{"cmd":"INFO","data":"` + text + `"}` }
