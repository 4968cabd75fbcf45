package webpush

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
	"mpush/test/fakepush"
)

// What a client chose as its push service may answer what it likes, also with
// what it was told: nothing of that is logged or reported, whatever its length.
func TestHeadOfAnAnswerIsNotQuoted(t *testing.T) {
	logged := captureLogs(t)
	echo := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "http://["+r.URL.Path+" "+r.Header.Get("Authorization")+strings.Repeat("x", 9000))
		w.WriteHeader(http.StatusMovedPermanently)
	})
	c := startAt(t, echo, "")
	got := c.expect(c.Deliver("phone", &pluginpb.Message{}), retry).GetError()
	said := logged.String() + got
	for _, told := range []string{"capability", "vapid", "xxxx"} {
		if strings.Contains(said, told) {
			t.Errorf("%q is in %.2000s", told, said)
		}
	}
	if want := `push service "127.0.0.1": failed to parse Location header`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// That the service has the message is said by the head of its answer: a body
// without an end delays nothing.
func TestBodyWithoutEndDelaysNoOutcome(t *testing.T) {
	never := make(chan struct{})
	c := startAt(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusCreated)
		w.(http.Flusher).Flush()
		select {
		case <-never:
		case <-r.Context().Done():
		}
	}), `"retryTimeout":60000`)
	defer close(never)
	began := time.Now()
	c.expect(c.Deliver("phone", &pluginpb.Message{}), handedOff)
	if took := time.Since(began); took > plugintest.Patience/2 {
		t.Errorf("it took %v", took)
	}
}

// After a 101 the body is the connection itself, which ends when the service
// likes and not with the attempt.
func TestSwitchOfProtocolsHoldsNothingUp(t *testing.T) {
	var switched atomic.Bool
	c := startAt(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if switched.Swap(true) {
			w.WriteHeader(http.StatusCreated)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("push service: %v", err)
			return
		}
		t.Cleanup(func() { _ = conn.Close() })
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
	}), `"retryTimeout":60000`)
	if got := c.expect(c.Deliver("phone", &pluginpb.Message{}), retry).GetError(); got != `push service "127.0.0.1": status 101` {
		t.Errorf("error %q", got)
	}
	began := time.Now()
	c.expect(c.Deliver("phone", &pluginpb.Message{}), handedOff)
	if took := time.Since(began); took > plugintest.Patience/2 {
		t.Errorf("the next message took %v", took)
	}
}

// startAt runs the channel with a receiver, phone, whose push service is at an
// origin.
func startAt(t *testing.T, origin, config string) *channel {
	t.Helper()
	if config != "" {
		config = "," + config
	}
	core := plugintest.Start(t, New(), plugintest.Options{Config: fmt.Sprintf(`{"allowEndpoints":[%q]%s}`, origin, config)})
	c := &channel{Core: core, t: t, key: announcedKey(t, core), service: fakepush.New(t, fakepush.Options{})}
	s := c.service.Subscribe(c.key)
	data := fmt.Sprintf(`{"endpoint":%q,"keys":{"auth":%q,"p256dh":%q}}`, origin+"/capability", s.Auth(), s.P256dh())
	if reply := c.Command(cmdRegister, "phone", "", data); reply.GetError() != nil {
		t.Fatalf("register: %v", reply)
	}
	return c
}
