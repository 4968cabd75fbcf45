package e2e

import (
	"strings"
	"testing"

	"mpush/test/harness"
)

func TestStatusIsForItsSenderAndForWhoHasTheToken(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, harness.Object{"websocket": harness.Object{"waitTimeout": 500}})
	ann, bob := relay.Dial(t), relay.Dial(t)
	annAuth, bobAuth := ann.Auth(t, relay.Token, "ann", ""), bob.Auth(t, relay.Token, "bob", "")
	relay.Away(t, "phone", "")
	ann.Send(t, `{"cmd":"MESSAGE","data":{"sendType":"personal","target":"phone","message":{"text":"of ann's"}}}`)
	mid := ann.Expect(t, harness.MessageReply(statuses{"phone": "ready"}))["mid"]
	anonymous := queue(t, relay, "phone", "somebodys")[0]

	status := func(mid, authorization string) harness.Reply {
		if authorization == "" {
			return relay.Get(t, "/"+mid+".status")
		}
		return relay.Do(t, get("/"+mid+".status", "Authorization: "+authorization))
	}
	for _, authorization := range []string{relay.Token, "Bearer " + relay.Token, annAuth, "Bearer " + annAuth} {
		if got := status(mid, authorization).ExpectStatuses(t, statuses{"phone": "ready"}); got != mid {
			t.Errorf("mid %s, expected %s", got, mid)
		}
	}
	for _, row := range []struct {
		what, mid, authorization string
		status                   int
		says                     string
	}{
		{"another's session", mid, bobAuth, 404, "no such message"},
		{"no name sent it", anonymous, annAuth, 404, "no such message"},
		{"nothing is shown", mid, "", 401, "oken"},
		{"a wrong token", mid, "wrong", 401, "oken"},
		{"a session that somebody else made", mid, annAuth + "x", 401, "oken"},
		{"a mid that was never given", "1", relay.Token, 404, "no such message"},
		{"the same for its would-be sender", "1", annAuth, 404, "no such message"},
		{"no number", "x", relay.Token, 400, "MID.status"},
		{"beyond 64 bits", "99999999999999999999", relay.Token, 400, "MID.status"},
		{"negative", "-5", relay.Token, 400, "MID.status"},
	} {
		t.Run(row.what, func(t *testing.T) { status(row.mid, row.authorization).ExpectInfo(t, row.status, row.says) })
	}

	// It is that of now, and goes on after the answer to the send.
	phone := relay.Receiver(t, "phone")
	phone.ExpectText(t, "of ann's")
	status(mid, annAuth).ExpectStatuses(t, statuses{"phone": "wait"})
	phone.Ack(t, mid)
	// A channel that holds the next message sends it before its word of the ack has
	// reached the core.
	phone.Take(t, "somebodys")
	eventually(t, "the first is acknowledged", func() bool { return statusNow(t, relay, mid)["phone"] == "ok" })
	status(mid, annAuth).ExpectStatuses(t, statuses{"phone": "ok"})
	eventually(t, "the second is acknowledged", func() bool { return statusNow(t, relay, anonymous)["phone"] == "ok" })
	relay.Stop(t)
}

func TestStatusAndTraceOutliveTheCore(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, harness.FixedPorts(t))
	phone := relay.Member(t, "phone", "family")
	relay.Away(t, "tablet", "family")
	mid := sentMID(t, relay.Do(t, get("/family.group?text=hello&desp=there", "Prefer: wait=0")))
	if got := phone.Take(t, "hello"); got != mid {
		t.Errorf("mid %s, expected %s", got, mid)
	}
	eventually(t, "phone has acknowledged", func() bool { return statusNow(t, relay, mid)["phone"] == "ok" })
	want := func() {
		t.Helper()
		if now := statusNow(t, relay, mid); now["phone"] != "ok" || now["tablet"] != "ready" || len(now) != 2 {
			t.Errorf("statuses %v", now)
		}
	}
	want()
	before := operates(t, relay, "trace", mid)
	if !hasLine(before, "text", "hello") || !hasLine(before, "to", "group family") || !hasLine(before, "phone: ok") || !hasLine(before, "tablet: ready") {
		t.Errorf("trace\n%s", before)
	}
	relay.Kill(t)
	relay.Start(t)
	want()
	if after := operates(t, relay, "trace", mid); after != before {
		t.Errorf("after the crash the trace is\n%s, it was\n%s", after, before)
	}
	var trace struct {
		Message    struct{ MID, Text, Desp, Target string }
		Deliveries []struct{ Receiver, State, Status, EndedAt string }
	}
	operateJSON(t, relay, &trace, "trace", mid)
	if trace.Message.MID != mid || trace.Message.Desp != "there" || len(trace.Deliveries) != 2 ||
		trace.Deliveries[0].State != "acked" || trace.Deliveries[0].EndedAt == "" || trace.Deliveries[1].State != "open" || trace.Deliveries[1].EndedAt != "" {
		t.Errorf("trace %+v", trace)
	}
}

func TestOperatorsCommandsSayWhenNoRelayRuns(t *testing.T) {
	t.Parallel()
	dir := harness.Dir(t)
	for _, args := range [][]string{{"status"}, {"audit"}, {"trace", "1"}, {"dead", "list"}, {"backup", "x.db"}} {
		got := harness.Run(t, dir, nil, append(args, "--data", "nowhere")...)
		if got.Code != 1 || got.Stdout != "" || !hasLine(got.Stderr, "mpush: ", "nowhere", `"mpush serve"`, "--data") {
			t.Errorf("mpush %v: exit code %d\n%s%s", args, got.Code, got.Stdout, got.Stderr)
		}
	}
}

func TestOperatorsCommandsHaveHelpWithExamples(t *testing.T) {
	t.Parallel()
	dir := harness.Dir(t)
	for _, command := range []string{"status", "trace", "audit", "backup", "dead", "dead list", "dead show", "dead replay", "dead drop"} {
		got := harness.Run(t, dir, nil, append(strings.Fields(command), "--help")...)
		_, examples, any := strings.Cut(got.Stdout, "Examples:\n")
		if got.Code != 0 || got.Stderr != "" || !any || !strings.HasPrefix(strings.TrimSpace(examples), "mpush "+command) {
			t.Errorf("mpush %s --help: exit code %d\n%s%s", command, got.Code, got.Stdout, got.Stderr)
		}
		if command != "dead" && !strings.Contains(got.Stdout, "--json") {
			t.Errorf("mpush %s has no --json\n%s", command, got.Stdout)
		}
	}
}

func TestStatusOfTheRelayShowsWhatFails(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	e.from(answer{status: 500})
	relay := harness.Start(t, harness.Object{"webhook": hooks(200, e.client("wh1"))})
	relay.Away(t, "phone", "")
	queue(t, relay, "phone", "a")
	relay.Do(t, atOnce("/wh1.send?text=b"))
	for range 3 {
		e.next()
	}
	var status struct {
		Channels  []struct{ Name, State string }
		Receivers int
		Queued    int
		Failing   []struct {
			Receiver, Channel, Next, Error string
			Failures                       int
		}
	}
	eventually(t, "the failures are counted", func() bool {
		operateJSON(t, relay, &status, "status")
		return len(status.Failing) == 1 && status.Failing[0].Failures >= 2
	})
	if f := status.Failing[0]; f.Receiver != "wh1" || f.Channel != "webhook" || f.Next == "" || !strings.Contains(f.Error, "500") {
		t.Errorf("failing %+v", f)
	}
	// The name that phone went over to is known, too.
	if len(status.Channels) != 3 || status.Receivers != 3 || status.Queued != 2 {
		t.Errorf("status %+v", status)
	}
	if text := operates(t, relay, "status"); !hasLine(text, "wh1", "webhook", "500") || !hasLine(text, "websocket", "running") || !hasLine(text, "2 messages queued") {
		t.Errorf("%s", text)
	}
	e.from(answer{})
	eventually(t, "nothing fails any more", func() bool {
		operateJSON(t, relay, &status, "status")
		return len(status.Failing) == 0 && status.Queued == 1
	})
}
