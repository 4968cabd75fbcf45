package http

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

func dial(t *testing.T, core *plugintest.Core) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", core.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(plugintest.Patience))
	return conn, bufio.NewReader(conn)
}

func TestConnectionIsKeptBetweenRequests(t *testing.T) {
	core := start(t, "", plugintest.Options{Publish: replies("phone")})
	conn, reader := dial(t, core)
	for _, raw := range []string{get("/phone.send"), get("/"), postJSON("/", "{"), request("PUT", "/", ""), get("/phone.send")} {
		if _, err := io.WriteString(conn, raw); err != nil {
			t.Fatal(err)
		}
		readAnswer(t, reader, false)
	}
}

func TestLongReplyHasItsLength(t *testing.T) {
	var statuses []*pluginpb.ReceiverStatus
	for i := range 500 {
		statuses = append(statuses, &pluginpb.ReceiverStatus{Receiver: fmt.Sprintf("receiver%d", i), Status: "ok"})
	}
	core := start(t, "", plugintest.Options{Publish: func(*pluginpb.Publish) *pluginpb.PublishResult {
		return &pluginpb.PublishResult{Mid: 7, Statuses: statuses}
	}})
	got := exchange(t, core, get("/home.group"))
	if got.header.Get("Content-Length") != fmt.Sprint(len(got.body)) || !strings.HasSuffix(got.body, `"receiver499":"ok"}}`) {
		t.Errorf("length %q of %d", got.header.Get("Content-Length"), len(got.body))
	}
}

func TestConnectionsBeyondTheLimitAreRefused(t *testing.T) {
	core := start(t, `"maxConnections":1`, plugintest.Options{Publish: replies("phone")})
	conn, reader := dial(t, core)
	if _, err := io.WriteString(conn, get("/phone.send")); err != nil {
		t.Fatal(err)
	}
	readAnswer(t, reader, false)
	_, second := dial(t, core)
	if got := readAnswer(t, second, false); got.status != 503 || got.body != info("http.maxConnections: too many connections") {
		t.Errorf("got %+v", got)
	}
	conn.Close()
	// The place becomes free once the server notices.
	for deadline := time.Now().Add(plugintest.Patience); ; {
		conn, err := net.Dial("tcp", core.Endpoints()[0])
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, request("GET", "/phone.send", "", "connection: close"))
		response, err := nethttp.ReadResponse(bufio.NewReader(conn), nil)
		if err == nil {
			response.Body.Close()
		}
		conn.Close()
		if err == nil && response.StatusCode == 200 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the place is still taken: %v", err)
		}
	}
}

func TestSlowHeaderIsCutOff(t *testing.T) {
	core := start(t, `"headerTimeout":100`, plugintest.Options{})
	conn, reader := dial(t, core)
	if _, err := io.WriteString(conn, "GET /phone.send HTTP/1.1\r\nHost: m\r\nX-Slow: "); err != nil {
		t.Fatal(err)
	}
	// What comes after the cut is answered by a reset.
	if rest, err := io.ReadAll(reader); len(rest) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %q, %v", rest, err)
	}
	nothingAsked(t, core)
}

// tokenChecks are the settings under which a fault of the body is told: with
// verifyToken only to those whose token is good.
var tokenChecks = map[string]string{"anybody": `"verifyToken":false`, "a token": `"verifyToken":true`}

// nothingSent makes sure that half a message is none.
func nothingSent(t *testing.T, core *plugintest.Core) {
	t.Helper()
	for _, e := range core.Seen() {
		if e.GetPublish() != nil {
			t.Errorf("the core was asked for %v", e)
		}
	}
}

func TestSlowBodyIsCutOff(t *testing.T) {
	for name, settings := range tokenChecks {
		t.Run(name, func(t *testing.T) {
			core := start(t, `"readTimeout":300,`+settings, plugintest.Options{})
			conn, reader := dial(t, core)
			if _, err := io.WriteString(conn, "POST /phone.send HTTP/1.1\r\nHost: m\r\nAuthorization: test\r\nContent-Length: 900000\r\n"+asJSON+"\r\n\r\n{"); err != nil {
				t.Fatal(err)
			}
			if got := readAnswer(t, reader, false); got.status != 408 || got.body != info("the body did not arrive in time") {
				t.Errorf("got %+v", got)
			}
			if _, err := reader.ReadByte(); err == nil {
				t.Error("the connection stays open")
			}
			nothingSent(t, core)
		})
	}
}

func TestBodyThatEndsEarlyIsRefused(t *testing.T) {
	for name, settings := range tokenChecks {
		t.Run(name, func(t *testing.T) {
			core := start(t, settings, plugintest.Options{})
			conn, reader := dial(t, core)
			if _, err := io.WriteString(conn, "POST /phone.send HTTP/1.1\r\nHost: m\r\nAuthorization: test\r\nContent-Length: 20\r\n"+asJSON+"\r\n\r\n{}"); err != nil {
				t.Fatal(err)
			}
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got := readAnswer(t, reader, false); got.status != 400 || got.body != info("the body ended early") {
				t.Errorf("got %+v", got)
			}
			nothingSent(t, core)
		})
	}
}

// As nc -N does, and clients of Node's http server may.
func TestSenderThatClosesItsSideIsAnswered(t *testing.T) {
	asked, left := make(chan struct{}), make(chan struct{})
	core := start(t, "", plugintest.Options{Publish: func(*pluginpb.Publish) *pluginpb.PublishResult {
		close(asked)
		<-left
		return replies("phone")(nil)
	}})
	conn, reader := dial(t, core)
	if _, err := io.WriteString(conn, get("/phone.send")); err != nil {
		t.Fatal(err)
	}
	<-asked
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { close(left) }) // the server notices, and that shows nowhere
	if got := readAnswer(t, reader, false); got.status != 200 {
		t.Errorf("got %+v", got)
	}
}

func TestStopLetsRequestsFinish(t *testing.T) {
	waiting, answerNow := make(chan struct{}), make(chan struct{})
	core := start(t, "", plugintest.Options{Publish: func(*pluginpb.Publish) *pluginpb.PublishResult {
		close(waiting)
		<-answerNow
		return replies("phone")(nil)
	}})
	conn, reader := dial(t, core)
	if _, err := io.WriteString(conn, get("/phone.send")); err != nil {
		t.Fatal(err)
	}
	<-waiting
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		core.Stop()
	}()
	// The listener is closed first: that is how it shows that Stop has begun.
	for deadline := time.Now().Add(plugintest.Patience); ; {
		refused, err := net.Dial("tcp", core.Endpoints()[0])
		if err != nil {
			break
		}
		refused.Close()
		if time.Now().After(deadline) {
			t.Fatal("still listening")
		}
	}
	close(answerNow)
	if got := readAnswer(t, reader, false); got.status != 200 || got.body != replied {
		t.Errorf("got %+v", got)
	}
	<-stopped
}

// Whoever is connected and has not asked for anything yet does not hold up the
// end; who waits for an answer is still waited for.
func TestStopDoesNotWaitForARequestThatHasNotCome(t *testing.T) {
	waiting, answerNow := make(chan struct{}), make(chan struct{})
	core := start(t, "", plugintest.Options{Publish: func(*pluginpb.Publish) *pluginpb.PublishResult {
		close(waiting)
		<-answerNow
		return replies("phone")(nil)
	}})
	var unasked []*bufio.Reader
	for _, begun := range []string{"", "GET /phone.send HTTP/1.1\r\nHost: m\r\nX-Slow: "} {
		conn, reader := dial(t, core)
		if _, err := io.WriteString(conn, begun); err != nil {
			t.Fatal(err)
		}
		unasked = append(unasked, reader)
	}
	conn, reader := dial(t, core)
	if _, err := io.WriteString(conn, get("/phone.send")); err != nil {
		t.Fatal(err)
	}
	<-waiting
	began := time.Now()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		core.Stop()
	}()
	for i, reader := range unasked {
		if rest, _ := io.ReadAll(reader); len(rest) > 0 {
			t.Errorf("connection %d got %q", i, rest)
		}
	}
	close(answerNow)
	if got := readAnswer(t, reader, false); got.status != 200 || got.body != replied {
		t.Errorf("got %+v", got)
	}
	<-stopped
	// The standard library alone would wait for five seconds, the channel for eight.
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestRequestsEndWithoutAnAnswerWhenTheCoreIsGone(t *testing.T) {
	waiting, never := make(chan struct{}), make(chan struct{})
	core := start(t, "", plugintest.Options{Publish: func(*pluginpb.Publish) *pluginpb.PublishResult {
		close(waiting)
		<-never
		return &pluginpb.PublishResult{}
	}})
	conn, reader := dial(t, core)
	if _, err := io.WriteString(conn, get("/phone.send")); err != nil {
		t.Fatal(err)
	}
	<-waiting
	broken := make(chan struct{})
	go func() {
		defer close(broken)
		core.Break()
	}()
	// Nobody knows whether the message is queued: no answer says that it is not.
	if rest, err := io.ReadAll(reader); len(rest) > 0 || err != nil {
		t.Errorf("got %q, %v", rest, err)
	}
	close(never)
	<-broken
}

func TestRemoteAddressReachesTheCore(t *testing.T) {
	core := start(t, "", plugintest.Options{TrustedProxies: []string{"127.0.0.0/8"}})
	exchange(t, core, get("/phone.send", "X-Forwarded-For: 198.51.100.7"))
	p := plugintest.Next[*pluginpb.PluginEnvelope_Publish](core).Publish
	if got := p.GetCredentials().GetRemote(); got != "198.51.100.7" {
		t.Errorf("remote %q", got)
	}
}

// In a process of its own, which the channel ends.
func TestListenerThatEndsByItselfEndsTheProcess(t *testing.T) {
	const inChild = "MPUSH_TEST_CHILD"
	if os.Getenv(inChild) != "" {
		p := New().(*plugin)
		plugintest.Start(t, p, plugintest.Options{Config: `{"host":"127.0.0.1","port":0}`})
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
