package websocket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

func TestDefaults(t *testing.T) {
	p := New().(*plugin)
	if err := p.Configure(context.Background(), sdk.NewConfig("websocket", nil)); err != nil {
		t.Fatal(err)
	}
	want := settings{
		Port: 9094, VerifyToken: true, AuthTimeout: 30 * time.Second, RetryTimeout: 3 * time.Second, WaitTimeout: 5 * time.Second,
		MaxFrame: 1114112, MaxConnections: 16384, PingInterval: 45 * time.Second, IdleTimeout: 150 * time.Second,
		MaxConnectionsPerAddress: 512,
	}
	if p.settings != want {
		t.Errorf("got %+v", p.settings)
	}
}

func TestConfigure(t *testing.T) {
	const pages = "WARNING host: only web pages of this machine are let in, for the same reason"
	for _, test := range []struct {
		section string
		weak    bool
		want    []string // "severity path: message"
		host    string
	}{
		{`{"host":"192.0.2.1","port":8080}`, false, nil, "192.0.2.1"},
		{``, false, nil, ""},
		{``, true, []string{"WARNING host: listening on 127.0.0.1 only, since the token is empty or well known: set a token of your own to be reachable from elsewhere, or name a host", pages}, "127.0.0.1"},
		{`{"verifyToken":false}`, false, []string{"WARNING host: listening on 127.0.0.1 only, since verifyToken is false: set it to true to be reachable from elsewhere, or name a host", pages}, "127.0.0.1"},
		{`{"host":"::"}`, true, []string{`WARNING host: "::" is reachable from elsewhere while the token is empty or well known: set a token of your own`}, "::"},
		{`{"host":"0.0.0.0","verifyToken":false}`, false, []string{`WARNING host: "0.0.0.0" is reachable from elsewhere while verifyToken is false: set it to true`}, "0.0.0.0"},
		{`{"host":"127.0.0.2","verifyToken":false}`, true, nil, "127.0.0.2"},
		{`{"authTimeout":99,"retryTimeout":0,"waitTimeout":499,"pingInterval":1,"idleTimeout":1000}`, false, []string{
			"WARNING authTimeout: 99 ms is too short, 100 ms is used", "WARNING retryTimeout: 0 ms is too short, 100 ms is used",
			"WARNING waitTimeout: 499 ms is too short, 500 ms is used", "WARNING pingInterval: 1 ms is too short, 1000 ms is used",
			"WARNING idleTimeout: 1000 ms is too short, 120000 ms is used",
		}, ""},
		{`{"pingInterval":75000}`, false, nil, ""},
		{`{"pingInterval":75001}`, false, []string{"WARNING idleTimeout: 150000 ms is too short, 150002 ms is used"}, ""},
		{`{"pingInterval":300000,"idleTimeout":599999}`, false, []string{"WARNING idleTimeout: 599999 ms is too short, 600000 ms is used"}, ""},
		{`{"pingInterval":9223372036854}`, false, []string{"WARNING idleTimeout: 150000 ms is too short, 9223372036854 ms is used"}, ""},
		{`{"port":-1,"maxFrame":5,"maxConnections":0,"maxConnectionsPerAddress":-1}`, false, []string{
			"ERROR maxConnections: expected at least 1", "ERROR maxConnectionsPerAddress: expected at least 0",
			"ERROR maxFrame: expected at least 1024 bytes", "ERROR port: expected at least 0",
		}, ""},
	} {
		p := New().(*plugin)
		var got []string
		for _, d := range plugintest.Configure(t, p, plugintest.Options{Config: test.section, WeakToken: test.weak}) {
			got = append(got, fmt.Sprintf("%s %s: %s", d.GetSeverity().String()[len("SEVERITY_"):], d.GetPath(), d.GetMessage()))
		}
		if fmt.Sprint(got) != fmt.Sprint(test.want) || p.settings.Host != test.host {
			t.Errorf("%s: host %q\n got %q\nwant %q", test.section, p.settings.Host, got, test.want)
		}
		if p.localPages != slices.Contains(got, pages) {
			t.Errorf("%s: only local pages: %v", test.section, p.localPages)
		}
		if p.settings.IdleTimeout < 2*p.settings.PingInterval {
			t.Errorf("%s: silent for %v is pinged, for %v dead", test.section, p.settings.PingInterval, p.settings.IdleTimeout)
		}
	}
}

func TestRequestThatIsNoHandshakeIsTold(t *testing.T) {
	_, core := start(t, "", plugintest.Options{})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + core.Endpoints()[0] + "/phone.send?text=a")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != 400 || response.Header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("got %d %s, %v", response.StatusCode, body, err)
	}
	if want := info("websocket: the client is not using the websocket protocol: 'upgrade' token not found in 'Connection' header"); string(body) != want {
		t.Errorf("got %s", body)
	}
}

func TestSocketsBeyondTheLimitAreRefused(t *testing.T) {
	_, core := start(t, `"maxConnections":2`, plugintest.Options{})
	first, second := attached(t, core, "a"), attached(t, core, "b")
	_, response, err := websocket.DefaultDialer.Dial("ws://"+core.Endpoints()[0], nil)
	if err == nil || response == nil || response.StatusCode != 503 {
		t.Fatalf("got %+v, %v", response, err)
	}
	first.ws.Close()
	plugintest.Next[*pluginpb.PluginEnvelope_Detach](core)
	// The core hears of it a moment before the socket's place is free.
	for deadline := time.Now().Add(10 * time.Second); ; {
		third, _, err := websocket.DefaultDialer.Dial("ws://"+core.Endpoints()[0], nil)
		if err == nil {
			third.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	second.silent()
}

func TestStopLetsRepliesOutAndClosesAllSockets(t *testing.T) {
	waiting, answerNow := make(chan struct{}), make(chan struct{})
	_, core := start(t, "", plugintest.Options{Publish: func(*pluginpb.Publish) *pluginpb.PublishResult {
		close(waiting)
		<-answerNow
		return &pluginpb.PublishResult{}
	}})
	phone, stranger := attached(t, core, "phone"), dial(t, core)
	phone.send(`{"cmd":"MESSAGE","data":{"sendType":"group","target":"g","message":{}}}`)
	<-waiting
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		core.Stop()
	}()
	// What would begin now is refused: that is how it shows that Stop has begun.
	for refused := false; !refused; {
		phone.send(`{"cmd":"SAY"}`)
		refused = phone.receive() == info("temporarily unavailable: too much at once")
	}
	close(answerNow)
	phone.expect(`{"cmd":"MESSAGE_REPLY","data":{"status":{}}}`)
	for _, c := range []*client{phone, stranger} {
		if text := c.expectClose(websocket.CloseGoingAway); text != "the server stops" {
			t.Errorf("closed with %q", text)
		}
	}
	<-stopped
}

func TestSocketsCloseWhenTheCoreIsGone(t *testing.T) {
	_, core := start(t, "", plugintest.Options{})
	c := attached(t, core, "phone")
	core.Break()
	c.expectClose(websocket.CloseGoingAway)
}

// A socket that opens while the channel stops is not left behind.
func TestNoSocketIsTakenInAfterTheEnd(t *testing.T) {
	p, core := start(t, "", plugintest.Options{})
	c := dial(t, core)
	p.hub.close("the server stops")
	c.expectClose(websocket.CloseGoingAway)
	late := dial(t, core)
	late.expectClose(websocket.CloseGoingAway)
}

// In a process of its own, which the channel ends.
func TestListenerThatEndsByItselfEndsTheProcess(t *testing.T) {
	const inChild = "MPUSH_TEST_CHILD"
	if os.Getenv(inChild) != "" {
		p, _ := start(t, "", plugintest.Options{})
		p.listener.Close() // as if the system had taken it away
		<-p.served
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), inChild+"=1")
	said, err := child.CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != 1 || !strings.Contains(string(said), "nobody can connect any more") || strings.Contains(string(said), "FAIL") {
		t.Errorf("%v: %s", err, said)
	}
}
