package http

import (
	"bufio"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs the channel on a free port of loopback. config is the inside of
// its section.
func start(t testing.TB, config string, o plugintest.Options) *plugintest.Core {
	t.Helper()
	if config != "" {
		config = "," + config
	}
	o.Config = `{"host":"127.0.0.1","port":0` + config + `}`
	return plugintest.Start(t, New(), o)
}

// answer is what a sender reads.
type answer struct {
	status int
	header nethttp.Header
	body   string
}

// exchange sends raw bytes on a connection of their own and reads one answer.
func exchange(t testing.TB, core *plugintest.Core, raw string) answer {
	t.Helper()
	conn, err := net.Dial("tcp", core.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(plugintest.Patience))
	// The server may answer and hang up before it has read everything.
	_, _ = io.WriteString(conn, raw)
	return readAnswer(t, bufio.NewReader(conn), strings.HasPrefix(raw, "HEAD "))
}

func readAnswer(t testing.TB, reader *bufio.Reader, head bool) answer {
	t.Helper()
	var request *nethttp.Request
	if head {
		request = &nethttp.Request{Method: nethttp.MethodHead}
	}
	response, err := nethttp.ReadResponse(reader, request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

// request writes a request down. headers are "name: value" lines.
func request(method, uri, body string, headers ...string) string {
	var raw strings.Builder
	fmt.Fprintf(&raw, "%s %s HTTP/1.1\r\nHost: mpush\r\n", method, uri)
	for _, header := range headers {
		raw.WriteString(header + "\r\n")
	}
	if body != "" {
		fmt.Fprintf(&raw, "Content-Length: %d\r\n", len(body))
	}
	return raw.String() + "\r\n" + body
}

const (
	asJSON = "content-type: application/json"
	asForm = "content-type: application/x-www-form-urlencoded"
)

// asked is the next thing that the channel asks of the core, in words: what a
// row of a table expects.
func asked(core *plugintest.Core) string {
	e := core.Await(concerns)
	switch body := e.GetBody().(type) {
	case *pluginpb.PluginEnvelope_Publish:
		p := body.Publish
		word := "personal"
		if p.GetSendType() == sdk.Group {
			word = "group"
		}
		extra := string(p.GetExtra())
		if extra == "" {
			extra = "{}"
		}
		s := fmt.Sprintf("%s %s %q %q %s", word, p.GetTarget(), p.GetText(), p.GetDesp(), extra)
		if wait := p.GetWaitMs(); wait != 5000 {
			s += fmt.Sprintf(" wait=%d", wait)
		}
		return s + who(p.GetCredentials())
	case *pluginpb.PluginEnvelope_Authenticate:
		return fmt.Sprintf("authenticate %s/%s", body.Authenticate.GetName(), body.Authenticate.GetGroup()) + who(body.Authenticate.GetCredentials())
	case *pluginpb.PluginEnvelope_Confirm:
		return fmt.Sprintf("confirm %d", body.Confirm.GetMid()) + who(body.Confirm.GetCredentials())
	case *pluginpb.PluginEnvelope_Unregister:
		return "unregister" + who(body.Unregister.GetCredentials())
	case *pluginpb.PluginEnvelope_Command:
		return fmt.Sprintf("command %s %s", body.Command.GetCommand(), body.Command.GetData()) + who(body.Command.GetCredentials())
	case *pluginpb.PluginEnvelope_CheckToken:
		return "check" + who(body.CheckToken.GetCredentials())
	}
	return fmt.Sprintf("%T", e.GetBody())
}

func who(c *pluginpb.Credentials) string {
	s := ""
	if c.GetTrusted() {
		s += " trusted"
	}
	if c.GetToken() != "" {
		s += " token=" + c.GetToken()
	}
	if c.GetAuth() != "" {
		s += " auth=" + c.GetAuth()
	}
	return s
}

func concerns(e *pluginpb.PluginEnvelope) bool { return e.GetDeclare() == nil }

// nothingAsked fails the test if the channel has asked for more than the test
// has looked at.
func nothingAsked(t testing.TB, core *plugintest.Core) {
	t.Helper()
	for _, e := range core.Seen() {
		if concerns(e) {
			t.Errorf("asked of the core: %v", e)
		}
	}
}

// row is one request and what must come of it.
type row struct {
	name    string
	request string
	status  int
	body    string
	asked   []string
}

func runRows(t *testing.T, core *plugintest.Core, rows []row) {
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			got := exchange(t, core, r.request)
			if got.status != r.status || got.body != r.body {
				t.Errorf("got %d %s\nwant %d %s", got.status, got.body, r.status, r.body)
			}
			if kind := got.header.Get("Content-Type"); kind != "application/json; charset=utf-8" {
				t.Errorf("content type %q", kind)
			}
			for _, want := range r.asked {
				if got := asked(core); got != want {
					t.Errorf("asked %s\nwant  %s", got, want)
				}
			}
			nothingAsked(t, core)
		})
	}
}

func info(text string) string { return fmt.Sprintf(`{"cmd":"INFO","data":%q}`, text) }

// reply is the answer to a message that one receiver has acknowledged. The
// core's mids are not of interest.
func replies(receiver string) func(*pluginpb.Publish) *pluginpb.PublishResult {
	return func(*pluginpb.Publish) *pluginpb.PublishResult {
		return &pluginpb.PublishResult{Mid: 7, Statuses: []*pluginpb.ReceiverStatus{{Receiver: receiver, Status: "ok"}}}
	}
}

const replied = `{"cmd":"MESSAGE_REPLY","data":{"mid":"7","status":{"phone":"ok"},"phone":"ok"}}`
