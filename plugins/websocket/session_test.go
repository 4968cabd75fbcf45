package websocket

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

const needAuth = `{"cmd":"AUTH","data":{"code":401,"msg":"Need Auth"}}`

func TestAuthIsAnsweredWithTheSessionAndAnnouncements(t *testing.T) {
	_, core := start(t, `"retryTimeout":250`, plugintest.Options{Announcements: map[string]string{"someKey": `"k"`}})
	c := dialAt(t, core, "/any/path?x=1", http.Header{"Origin": {"https://elsewhere.example"}})
	c.send(`{"cmd":"AUTH","data":{"token":"test","name":"phone","group":"null"}}`)
	c.expect(`{"cmd":"AUTH","data":{"code":200,"auth":"auth/null/phone","msg":"Successful authentication","someKey":"k"}}`)
	a := plugintest.Next[*pluginpb.PluginEnvelope_Attach](core).Attach
	if a.GetName() != "phone" || a.GetGroup() != "null" || a.GetCredentials().GetTrusted() || a.GetCredentials().GetRemote() != "127.0.0.1" {
		t.Errorf("attach %v", a)
	}
	p := a.GetPolicy()
	if !p.GetExclusive() || !p.GetAcks() || p.GetPrefetch() != 32 || p.GetResendMs() != 250 || p.GetRetryMs() != 250 || p.GetRetryMaxMs() != 0 {
		t.Errorf("policy %v", p)
	}
}

// A refusal leaves the socket open, and it may try again.
func TestRefusedAuth(t *testing.T) {
	_, core := start(t, "", plugintest.Options{})
	c := dial(t, core)
	for _, test := range [][2]string{
		{`{"cmd":"AUTH","data":{"token":"wrong","name":"phone"}}`, `{"cmd":"AUTH","data":{"code":403,"msg":"Token invalid"}}`},
		{`{"cmd":"AUTH","data":{"name":"phone"}}`, `{"cmd":"AUTH","data":{"code":403,"msg":"Token invalid"}}`},
		{`{"cmd":"AUTH","data":{"token":"test"}}`, info("data.name: expected a name, not nothing")},
		{`{"cmd":"AUTH","data":{"token":"test","name":""}}`, info("data.name: expected a name, not nothing")},
		{`{"cmd":"AUTH","data":{"token":"test","name":{}}}`, info("data.name: expected a string")},
		{`{"cmd":"AUTH","data":{"token":"test","name":"a\u0000"}}`, info("data.name: control characters are not allowed")},
		{`{"cmd":"AUTH","data":{"token":"test","name":"a","group":[]}}`, info("data.group: expected a string")},
		{`{"cmd":"AUTH"}`, info("data: expected an object")},
		{`{"cmd":"MESSAGE_CALLBACK","data":{"mid":"1"}}`, needAuth},
		{`{"cmd":"MESSAGE","data":{}}`, needAuth},
		{`{"cmd":"PING"}`, needAuth},
		{`{"cmd":"SOMETHING"}`, needAuth},
		{`{"cmd":`, info("not JSON: it ends too early")},
	} {
		c.send(test[0])
		c.expect(test[1])
	}
	c.login("phone")
}

func refuseAttach(code *sdk.Code) plugintest.Options {
	return plugintest.Options{Answer: func(e *pluginpb.PluginEnvelope) *pluginpb.CoreEnvelope {
		if e.GetAttach() == nil || *code == 0 {
			return nil
		}
		return &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Session{Session: &pluginpb.SessionResult{
			Error: &pluginpb.Error{Code: *code, Message: "why"},
		}}}
	}}
}

func TestAuthOfANameInUse(t *testing.T) {
	code := sdk.CodeNameInUse
	_, core := start(t, "", refuseAttach(&code))
	c := dial(t, core)
	c.send(`{"cmd":"AUTH","data":{"token":"test","name":"wh\"1"}}`)
	c.expect(`{"cmd":"AUTH","data":{"code":403,"msg":"The name [wh\"1] is already used"}}`)
	c.send(`{"cmd":"PING"}`)
	c.expect(needAuth)
}

// Clients in the field take any AUTH code but 200 for the end, so a passing
// fault is an INFO and a closed socket: they come again.
func TestAuthInAPassingFaultIsNotRefusedForGood(t *testing.T) {
	code := sdk.CodeUnavailable
	_, core := start(t, "", refuseAttach(&code))
	c := dial(t, core)
	c.send(`{"cmd":"AUTH","data":{"token":"test","name":"phone"}}`)
	c.expect(info("why"))
	c.expectClose(websocket.CloseTryAgainLater)
}

func TestAuthOverALimitIsToldAndTheSocketStays(t *testing.T) {
	code := sdk.CodeLimit
	_, core := start(t, "", refuseAttach(&code))
	c := dial(t, core)
	c.send(`{"cmd":"AUTH","data":{"token":"test","name":"phone"}}`)
	c.expect(info("why"))
	c.send(`{"cmd":"PING"}`)
	c.expect(needAuth)
}

func TestTokenIsNotAskedForWhenItNeedNotBe(t *testing.T) {
	_, core := start(t, `"verifyToken":false`, plugintest.Options{})
	c := dial(t, core)
	c.send(`{"cmd":"AUTH","data":{"token":"whatever","name":"phone"}}`)
	c.expect(`{"cmd":"AUTH","data":{"code":200,"auth":"auth//phone","msg":"Successful authentication"}}`)
	a := plugintest.Next[*pluginpb.PluginEnvelope_Attach](core).Attach
	if !a.GetCredentials().GetTrusted() || a.GetCredentials().GetToken() != "" {
		t.Errorf("credentials %v", a.GetCredentials())
	}
}

func TestSocketWithoutAuthIsClosedInTime(t *testing.T) {
	p, core := start(t, "", plugintest.Options{})
	idle, trying, phone := dial(t, core), dial(t, core), attached(t, core, "phone")
	trying.send(`{"cmd":"AUTH","data":{"token":"wrong","name":"phone"}}`)
	trying.expect(`{"cmd":"AUTH","data":{"code":403,"msg":"Token invalid"}}`)
	p.hub.sweep(time.Now().Add(61 * time.Second))
	for _, c := range []*client{idle, trying} {
		if text := c.expectClose(websocket.ClosePolicyViolation); text != "no AUTH in time" {
			t.Errorf("closed with %q", text)
		}
	}
	phone.silent()
}

func TestAuthTimeoutIsAsConfigured(t *testing.T) {
	_, core := start(t, `"authTimeout":100`, plugintest.Options{})
	began := time.Now()
	if text := dial(t, core).expectClose(websocket.ClosePolicyViolation); text != "no AUTH in time" {
		t.Errorf("closed with %q", text)
	}
	if took := time.Since(began); took > 20*time.Second { // 30 s is the default
		t.Errorf("closed after %v", took)
	}
}

// The older socket is closed, what is in flight comes on the newer one after
// its AUTH reply, and the older one's end changes nothing.
func TestTakeover(t *testing.T) {
	_, core := start(t, "", plugintest.Options{})
	older := attached(t, core, "phone")
	newer := attached(t, core, "phone")
	if text := older.expectClose(websocket.CloseNormalClosure); text != "taken over" {
		t.Errorf("closed with %q", text)
	}
	older.ws.Close()
	mid := core.Deliver("phone", &pluginpb.Message{Text: "a"})
	newer.expect(message(mid, "phone", "a"))
	newer.silent()
	nothingDetached(t, core)
}

func nothingDetached(t *testing.T, core *plugintest.Core) {
	t.Helper()
	for _, e := range core.Seen() {
		if e.GetDetach() != nil {
			t.Errorf("detached: %v", e)
		}
	}
}

func TestMessagesFollowTheAuthReply(t *testing.T) {
	_, core := start(t, "", plugintest.Options{})
	for i := range 50 {
		c := dial(t, core)
		name := fmt.Sprintf("phone%d", i)
		c.send(`{"cmd":"AUTH","data":{"token":"test","name":"` + name + `"}}`)
		plugintest.Next[*pluginpb.PluginEnvelope_Attach](core)
		mid := core.Deliver(name, &pluginpb.Message{Text: "a"})
		c.expect(`{"cmd":"AUTH","data":{"code":200,"auth":"auth//` + name + `","msg":"Successful authentication"}}`)
		c.expect(message(mid, name, "a"))
	}
}

func TestRepeatedAuthRenewsTheSameSocket(t *testing.T) {
	_, core := start(t, "", plugintest.Options{})
	c := attached(t, core, "phone")
	c.send(`{"cmd":"AUTH","data":{"token":"test","name":"phone","group":"home"}}`)
	c.expect(`{"cmd":"AUTH","data":{"code":200,"auth":"auth/home/phone","msg":"Successful authentication"}}`)
	if group, _ := core.Group("phone"); group != "home" {
		t.Errorf("group %q", group)
	}
	mid := core.Deliver("phone", &pluginpb.Message{Text: "a"})
	c.expect(message(mid, "phone", "a"))
	c.silent()
	nothingDetached(t, core)
}

func TestAuthWithAnotherNameMovesTheSocket(t *testing.T) {
	_, core := start(t, "", plugintest.Options{})
	c := attached(t, core, "phone")
	generation := core.Generation("phone")
	c.login("tablet")
	d := plugintest.Next[*pluginpb.PluginEnvelope_Detach](core).Detach
	if d.GetReceiver() != "phone" || d.GetGeneration() != generation {
		t.Errorf("detached %v", d)
	}
	mid := core.Deliver("tablet", &pluginpb.Message{Text: "a"})
	c.expect(message(mid, "tablet", "a"))
	attached(t, core, "phone").silent()
	c.silent()
}

func TestRefusedSecondAuthLeavesEverythingAsItIs(t *testing.T) {
	var code sdk.Code
	_, core := start(t, "", refuseAttach(&code))
	c := attached(t, core, "phone")
	for refusal, want := range map[sdk.Code]string{
		sdk.CodeUnauthenticated: `{"cmd":"AUTH","data":{"code":403,"msg":"Token invalid"}}`,
		sdk.CodeForbidden:       `{"cmd":"AUTH","data":{"code":403,"msg":"why"}}`,
		sdk.CodeUnavailable:     info("why"),
	} {
		code = refusal
		c.send(`{"cmd":"AUTH","data":{"token":"test","name":"tablet"}}`)
		c.expect(want)
	}
	mid := core.Deliver("phone", &pluginpb.Message{Text: "a"})
	c.expect(message(mid, "phone", "a"))
	nothingDetached(t, core)
}

func TestClosedSocketIsDetached(t *testing.T) {
	_, core := start(t, "", plugintest.Options{})
	c := attached(t, core, "phone")
	generation := core.Generation("phone")
	c.ws.Close()
	d := plugintest.Next[*pluginpb.PluginEnvelope_Detach](core).Detach
	if d.GetReceiver() != "phone" || d.GetGeneration() != generation {
		t.Errorf("detached %v", d)
	}
}

func TestUnregisterIsSilentAndLeavesTheSocketOpen(t *testing.T) {
	_, core := start(t, "", plugintest.Options{})
	c := attached(t, core, "phone")
	c.send(`{"cmd":"UNREGISTER"}`)
	c.send(`{"cmd":"PING"}`)
	c.expect(needAuth)
	u := plugintest.Next[*pluginpb.PluginEnvelope_Unregister](core).Unregister
	if u.GetCredentials().GetAuth() != "auth//phone" {
		t.Errorf("unregister %v", u)
	}
	c.login("phone")
	c.silent()
	nothingDetached(t, core)
}

func TestRefusedUnregisterIsTold(t *testing.T) {
	_, core := start(t, "", plugintest.Options{Answer: func(e *pluginpb.PluginEnvelope) *pluginpb.CoreEnvelope {
		if e.GetUnregister() == nil {
			return nil
		}
		return &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Done{Done: &pluginpb.Done{
			Error: &pluginpb.Error{Code: sdk.CodeUnavailable, Message: "disk full"},
		}}}
	}})
	c := attached(t, core, "phone")
	c.send(`{"cmd":"UNREGISTER"}`)
	c.expect(info("disk full"))
	c.silent()
}

// Clients come again unless they hear 1000.
func TestEvictedSocketIsClosedWithACodeThatSaysWhetherToComeAgain(t *testing.T) {
	for cause, code := range map[sdk.EvictCause]int{
		sdk.TakenOver: websocket.CloseNormalClosure, sdk.Configured: websocket.CloseNormalClosure,
		sdk.Forgotten: websocket.CloseNormalClosure, sdk.TokenEnded: websocket.ClosePolicyViolation,
		pluginpb.EvictCause_EVICT_CAUSE_UNSPECIFIED: websocket.CloseNormalClosure,
	} {
		t.Run(cause.String(), func(t *testing.T) {
			_, core := start(t, "", plugintest.Options{})
			c := attached(t, core, "phone")
			core.Evict("phone", sdk.Eviction{Cause: cause, Reason: "the reason"})
			if text := c.expectClose(code); text != "the reason" {
				t.Errorf("closed with %q", text)
			}
			nothingDetached(t, core)
		})
	}
}

func TestSilentClientIsPingedAndADeadOneClosed(t *testing.T) {
	p, core := start(t, "", plugintest.Options{})
	c := attached(t, core, "phone")
	pinged := make(chan struct{}, 8)
	c.ws.SetPingHandler(func(string) error { pinged <- struct{}{}; return nil })
	now := time.Now()
	p.hub.sweep(now.Add(40 * time.Second))
	p.hub.sweep(now.Add(46 * time.Second))
	p.hub.sweep(now.Add(47 * time.Second))
	c.silent() // reads the pings that have come
	if len(pinged) != 1 {
		t.Errorf("%d pings", len(pinged))
	}
	p.hub.sweep(time.Now().Add(120 * time.Second))
	c.silent()
	p.hub.sweep(time.Now().Add(151 * time.Second))
	if _, _, err := c.ws.ReadMessage(); err == nil {
		t.Error("the socket of a dead client stays open")
	}
	plugintest.Next[*pluginpb.PluginEnvelope_Detach](core)
}

func TestPongKeepsASocketAlive(t *testing.T) {
	p, core := start(t, "", plugintest.Options{})
	c := attached(t, core, "phone")
	held := p.hub.only()
	since := held.silence()
	if err := c.ws.WriteControl(websocket.PongMessage, nil, time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	held.awaitHeard(t, since)
}

// only is the socket, if there is one.
func (h *hub) only() (c *conn) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for c = range h.conns {
	}
	return c
}

// silence makes it ten seconds since the client was heard of.
func (c *conn) silence() (since int64) {
	since = time.Now().Add(-10 * time.Second).UnixNano()
	c.seen.Store(since)
	return since
}

// awaitHeard waits until the client has been heard of since then.
func (c *conn) awaitHeard(t *testing.T, since int64) {
	t.Helper()
	for deadline := time.Now().Add(plugintest.Patience); c.seen.Load() <= since; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the client is not heard of")
		}
	}
}

// A client on a slow link is busy with one large frame for longer than silence
// may last.
func TestClientThatTakesALargeMessageIsNotSilent(t *testing.T) {
	p, core := start(t, "", plugintest.Options{})
	c := attached(t, core, "phone")
	held := p.hub.only()
	// More than the system's buffers take.
	text := strings.Repeat("x", 32<<20)
	held.write([]byte(text))
	if !held.out.backlogged() {
		t.Fatal("the system took 32 MiB: the test shows nothing")
	}
	now := time.Now()
	for _, later := range []time.Duration{151, 302, 453} {
		p.hub.sweep(now.Add(later * time.Second))
	}
	c.expect(text)
	held.out.drained.Wait()
	p.hub.sweep(now.Add(454 * time.Second))
	c.silent()
	p.hub.sweep(now.Add(605 * time.Second))
	if _, _, err := c.ws.ReadMessage(); err == nil {
		t.Error("the socket of a dead client stays open")
	}
}

// What comes of a large frame counts, but not how slowly: less than 64 KiB in
// idleTimeout are silence.
func TestClientThatSendsALargeFrameIsNotSilent(t *testing.T) {
	p, core := start(t, "", plugintest.Options{})
	c := attached(t, core, "phone")
	held := p.hub.only()
	raw := c.ws.NetConn()
	send := func(b []byte) {
		t.Helper()
		if _, err := raw.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	part := make([]byte, 64<<10)
	// A text frame of 1 MiB, with a mask of zeros.
	send([]byte("\x81\xff\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00"))
	for range 3 {
		since := held.silence()
		send(part)
		held.awaitHeard(t, since)
		p.hub.sweep(time.Now().Add(145 * time.Second))
	}
	held.silence()
	send(part[1:])
	p.hub.sweep(time.Now().Add(145 * time.Second))
	if _, _, err := c.ws.ReadMessage(); err == nil {
		t.Error("the socket of a client that sends next to nothing stays open")
	}
}
