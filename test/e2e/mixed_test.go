package e2e

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"syscall"
	"testing"

	"mpush/test/fakepush"
	"mpush/test/harness"
)

// pushOnly makes receivers that have a subscription alone, many at once.
func pushOnly(t *testing.T, relay *harness.Relay, service *fakepush.Server, group string, names []string) map[string]*fakepush.Subscription {
	t.Helper()
	logins := make([]func() harness.Reply, len(names))
	for i, name := range names {
		logins[i] = relay.Begin(t, postJSON("/", harness.AuthPacket(relay.Token, name, group)))
	}
	all := make(map[string]*fakepush.Subscription)
	registered := make([]func() harness.Reply, len(names))
	for i, name := range names {
		words := logins[i]().Expect(t, 200, goodWithPush)
		all[name] = service.Subscribe(words["key"])
		registered[i] = relay.Begin(t, postJSON("/", fmt.Sprintf(`{"cmd":"REGISTER_WEBPUSH","auth":%q,"data":%s}`, words["auth"], all[name].JSON())))
	}
	for _, wait := range registered {
		wait().Expect(t, 200, `{"cmd":"INFO","data":"ok"}`)
	}
	return all
}

func numbered(prefix string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("%s%d", prefix, i))
	}
	return names
}

func TestPushesThatArePendingWhenTheirChannelIsKilledArrive(t *testing.T) {
	t.Parallel()
	const receivers = 100
	service := fakepush.New(t, fakepush.Options{})
	relay := harness.Start(t, harness.Object{
		"http":    harness.Object{"waitTimeout": 60_000},
		"webpush": harness.Object{"retryTimeout": 60_000, "allowEndpoints": []string{service.Origin()}},
	})
	names := numbered("tablet", receivers)
	pushOnly(t, relay, service, "family", names)
	never := make(chan struct{})
	defer close(never)
	service.Always(fakepush.Answer{Status: 500, Until: never})
	answer := relay.Begin(t, harness.Request{Target: "/family.group?text=hello"})
	mid := pushedMID(t, service.Next(), "hello")
	for range 49 { // there are no more than 64 at once
		service.Next()
	}
	service.Always(fakepush.Answer{})
	old := relay.Channel(t, "webpush").PID
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	relay.WaitRestart(t, "webpush", old)
	want := statuses{}
	for _, name := range names {
		want[name] = "webpush-ok"
	}
	if got := answer().ExpectStatuses(t, want); got != mid {
		t.Errorf("mid %s, pushed %s", got, mid)
	}
	arrived := map[*fakepush.Subscription]bool{}
	for _, push := range service.Seen() {
		if got := pushedMID(t, push, "hello"); got != mid {
			t.Errorf("pushed %s, expected %s", got, mid)
		}
		if push.Status == 201 {
			arrived[push.Subscription] = true
		}
	}
	if len(arrived) != receivers {
		t.Errorf("%d of %d pushes have arrived", len(arrived), receivers)
	}
}

// One send, a thousand receivers on all channels, each of which does something
// else.
func TestGroupOfAThousandOnAllChannelsHasEveryStatusRight(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some 15 seconds")
	}
	t.Parallel()
	service := fakepush.New(t, fakepush.Options{})
	good, bad := newEndpoint(t), newEndpoint(t)
	bad.from(answer{status: 500})
	want := statuses{}
	expect := func(names []string, status string) []string {
		for _, name := range names {
			want[name] = status
		}
		return names
	}
	var clients []harness.Object
	configure := func(e *endpoint, names []string) {
		for _, name := range names {
			client := e.client(name)
			client["group"] = "all"
			clients = append(clients, client)
		}
	}
	configure(good, expect(numbered("hook-ok-", 200), "ok"))
	configure(bad, expect(numbered("hook-wait-", 100), "wait"))
	relay := harness.Start(t, harness.Object{
		"webhook": hooks(60_000, clients...),
		"webpush": harness.Object{"retryTimeout": 60_000, "allowEndpoints": []string{service.Origin()}},
	})
	pushOnly(t, relay, service, "all", expect(numbered("push-ok-", 200), "webpush-ok"))
	for _, s := range pushOnly(t, relay, service, "all", expect(numbered("push-wait-", 50), "webpush-wait")) {
		s.Always(fakepush.Answer{Status: 500})
	}
	for _, s := range pushOnly(t, relay, service, "all", expect(numbered("push-gone-", 25), "webpush-wait")) {
		s.Always(fakepush.Answer{Status: 404})
	}
	both := append(expect(numbered("both-ok-", 50), "ok"), expect(numbered("both-pushed-", 25), "webpush-ok")...)
	pushOnly(t, relay, service, "all", both)
	var sockets []*harness.Client
	for _, name := range append(append(expect(numbered("socket-ok-", 200), "ok"), expect(numbered("socket-wait-", 100), "wait")...), both...) {
		c := relay.Dial(t)
		c.Name = name
		c.Send(t, harness.AuthPacket(relay.Token, name, "all"))
		c.Expect(t, goodWithPush)
		sockets = append(sockets, c)
	}
	expect(numbered("away-", 50), "ready")
	for i := range 50 {
		c := relay.Dial(t)
		name := fmt.Sprintf("away-%d", i)
		c.Send(t, harness.AuthPacket(relay.Token, name, "all"))
		c.Expect(t, goodWithPush)
		// As harness.Away: a closed socket may be noticed only after the send below.
		for range 2 {
			c.Send(t, harness.AuthPacket(relay.Token, "instead of "+name, ""))
			c.Expect(t, goodWithPush)
		}
		c.Close()
	}
	if len(want) != 1000 {
		t.Fatalf("%d receivers", len(want))
	}
	mid := sentMID(t, relay.Do(t, get("/all.group?text=all", "Prefer: wait=0")))
	var acks sync.WaitGroup
	for _, c := range sockets {
		acks.Go(func() {
			m, err := c.Receive()
			if err != nil {
				t.Errorf("%s: %v", c.Name, err)
				return
			}
			if strings.Contains(c.Name, "-ok-") {
				if err := c.Confirm(m.MID); err != nil {
					t.Errorf("%s: %v", c.Name, err)
				}
			}
		})
	}
	acks.Wait()
	now := statuses{}
	defer func() {
		if t.Failed() {
			maps.DeleteFunc(now, func(name, status string) bool { return want[name] == status })
			t.Logf("not as expected: %v", now)
		}
	}()
	eventually(t, "every status is what it will stay", func() bool {
		now = statusNow(t, relay, mid)
		return maps.Equal(now, want)
	})
	relay.Do(t, get("/"+mid+".status", "Authorization: "+relay.Token)).ExpectStatuses(t, want)
	// One is "wait" when its endpoint is about to be asked.
	eventually(t, "all webhooks were asked", func() bool { return len(good.got)+len(bad.got) >= 300 })
	asked := maps.Collect(func(yield func(string, bool) bool) {
		for len(good.got)+len(bad.got) > 0 {
			var h *hook
			select {
			case h = <-good.got:
			case h = <-bad.got:
			}
			if got := h.mid(t, "all"); got != mid {
				t.Errorf("a webhook got %s, expected %s", got, mid)
			}
			if !yield(h.path, true) {
				return
			}
		}
	})
	if len(asked) != 300 {
		t.Errorf("%d webhooks were asked", len(asked))
	}
}
