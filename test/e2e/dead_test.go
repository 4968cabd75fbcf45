package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"mpush/test/harness"
)

// operate runs a command of the operator's on a relay's data directory.
func operate(t *testing.T, relay *harness.Relay, args ...string) harness.Result {
	t.Helper()
	return harness.Run(t, relay.Dir, nil, append(args, "--data", "data")...)
}

// operates is operate for a command that must succeed. It returns what was
// printed.
func operates(t *testing.T, relay *harness.Relay, args ...string) string {
	t.Helper()
	got := operate(t, relay, args...)
	if got.Code != 0 || got.Stderr != "" {
		t.Fatalf("mpush %s: exit code %d\n%s%s", strings.Join(args, " "), got.Code, got.Stdout, got.Stderr)
	}
	return got.Stdout
}

// operateJSON is operates for a command's JSON.
func operateJSON(t *testing.T, relay *harness.Relay, into any, args ...string) {
	t.Helper()
	text := operates(t, relay, append(args, "--json")...)
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("mpush %s: %v\n%s", strings.Join(args, " "), err, text)
	}
}

// eventually waits for what no event tells a test of: another process's doing.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(harness.Patience)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", harness.Patience, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// sentMID is the mid in the answer to a send, whatever the statuses are.
func sentMID(t *testing.T, reply harness.Reply) string {
	t.Helper()
	var packet struct {
		Data struct{ MID string }
	}
	if err := json.Unmarshal([]byte(reply.Body), &packet); err != nil || reply.Status != 200 || packet.Data.MID == "" {
		t.Fatalf("answer to a send: %d %s", reply.Status, reply.Body)
	}
	return packet.Data.MID
}

// statusNow is what a sender with the token is told of a message.
func statusNow(t *testing.T, relay *harness.Relay, mid string) map[string]string {
	t.Helper()
	reply := relay.Do(t, get("/"+mid+".status", "Authorization: "+relay.Token))
	var packet struct {
		Data struct{ Status map[string]string }
	}
	if err := json.Unmarshal([]byte(reply.Body), &packet); err != nil || reply.Status != 200 {
		t.Fatalf("status of %s: %d %s", mid, reply.Status, reply.Body)
	}
	return packet.Data.Status
}

// fails waits until a message is a dead letter of these receivers.
func fails(t *testing.T, relay *harness.Relay, mid string, receivers ...string) {
	t.Helper()
	eventually(t, "the message fails", func() bool {
		now := statusNow(t, relay, mid)
		for _, receiver := range receivers {
			if now[receiver] != "failed" {
				return false
			}
		}
		return true
	})
}

// letters is the JSON of mpush dead list.
type letters struct {
	Letters []letter
	Below   string
}

type letter struct {
	Message  struct{ MID, Text, AcceptedAt, ExpiresAt string }
	Delivery struct {
		Receiver, State, Status, Reason, Error, SentAt, EndedAt string
		Tries                                                   int
	}
}

// books are the JSON of mpush audit.
type books struct {
	Balanced bool
	Total    struct{ Accepted, Acked, HandedOff, Dead, Pending int }
}

// balance makes sure that the books do, and returns them.
func balance(t *testing.T, relay *harness.Relay) (b books) {
	t.Helper()
	operateJSON(t, relay, &b, "audit")
	if !b.Balanced || b.Total.Accepted != b.Total.Acked+b.Total.HandedOff+b.Total.Dead+b.Total.Pending {
		t.Errorf("the books do not balance: %+v", b)
	}
	return b
}

// Nobody looks at the queue of a receiver that stays away, but for the keeper.
func TestMessageForAReceiverThatStaysAwayExpires(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, harness.Object{"limits": harness.Object{"ttl": "2s"}})
	relay.Away(t, "phone", "")
	first := queue(t, relay, "phone", "normal")[0]
	shorter := sentMID(t, relay.Do(t, atOnce("/phone.send?text=shorter&ttl=1")))
	longer := relay.Do(t, atOnce("/phone.send?text=longer&ttl=3600")).ExpectStatuses(t, statuses{"phone": "ready"})
	for _, mid := range []string{first, shorter, longer} {
		fails(t, relay, mid, "phone")
	}
	var list letters
	operateJSON(t, relay, &list, "dead", "list")
	for i, mid := range []string{longer, shorter, first} {
		if len(list.Letters) != 3 || list.Letters[i].Message.MID != mid || list.Letters[i].Delivery.Reason != "expired" || list.Letters[i].Delivery.EndedAt == "" {
			t.Fatalf("dead letters %+v", list)
		}
	}
	phone := relay.Receiver(t, "phone")
	phone.ExpectNothing(t)
	if b := balance(t, relay); b.Total.Accepted != 3 || b.Total.Dead != 3 {
		t.Errorf("books %+v", b)
	}
}

func TestSendersTTLIsForItsMessageAlone(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, nil)
	relay.Away(t, "phone", "family")
	relay.Away(t, "tablet", "family")
	one := queue(t, relay, "phone", "one")[0]
	packet := postJSON("/", `{"cmd":"MESSAGE","data":{"sendType":"group","target":"family","message":{"text":"now or never","extra":{"ttl":1}}}}`, "Prefer: wait=0")
	short := sentMID(t, relay.Do(t, packet))
	three := queue(t, relay, "phone", "three")[0]
	fails(t, relay, short, "phone", "tablet")
	phone := relay.Receiver(t, "phone")
	for i, text := range []string{"one", "three"} {
		if got := phone.Take(t, text); got != []string{one, three}[i] {
			t.Errorf("%s has the mid %s", text, got)
		}
	}
	nothingMore(t, relay, phone)
}

func TestDeadLettersAreListedShownReplayedAndDropped(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, nil)
	if got := operates(t, relay, "dead", "list"); got != "no dead letters\n" {
		t.Errorf("%q", got)
	}
	relay.Away(t, "phone", "family")
	relay.Away(t, "tablet", "family")
	dead := sentMID(t, relay.Do(t, atOnce("/family.group?text=too+late&desp=by+far&ttl=1")))
	fails(t, relay, dead, "phone", "tablet")
	later := queue(t, relay, "phone", "later")[0]

	var list letters
	operateJSON(t, relay, &list, "dead", "list")
	if len(list.Letters) != 2 || list.Below != "0" || list.Letters[0].Delivery.Receiver != "phone" || list.Letters[1].Delivery.Receiver != "tablet" {
		t.Fatalf("dead letters %+v", list)
	}
	for _, l := range list.Letters {
		if l.Message.MID != dead || l.Message.Text != "too late" || l.Delivery.State != "dead" || l.Delivery.Status != "failed" ||
			l.Delivery.Reason != "expired" || l.Delivery.Tries != 0 || l.Message.AcceptedAt == "" || l.Message.ExpiresAt == "" || l.Delivery.EndedAt == "" {
			t.Errorf("dead letter %+v", l)
		}
	}
	if got := operates(t, relay, "dead", "list", "--receiver", "tablet"); !hasLine(got, dead, "tablet", "expired", "too late") || strings.Contains(got, "phone") {
		t.Errorf("%s", got)
	}
	for _, args := range [][]string{{dead}, {dead, "tablet"}} {
		got := operates(t, relay, append([]string{"dead", "show"}, args...)...)
		if !hasLine(got, "desp", "by far") || !hasLine(got, "receiver", "tablet") || strings.Contains(got, "phone") != (len(args) == 1) {
			t.Errorf("show %v\n%s", args, got)
		}
	}

	// Only the phone's is queued again, behind what waits already.
	if got := operates(t, relay, "dead", "replay", dead, "phone"); got != "1 replayed\n" {
		t.Errorf("%q", got)
	}
	if now := statusNow(t, relay, dead); now["phone"] != "ready" || now["tablet"] != "failed" {
		t.Errorf("statuses after the replay %v", now)
	}
	phone := relay.Member(t, "phone", "family")
	if got := phone.Take(t, "later"); got != later {
		t.Errorf("mid %s, expected %s", got, later)
	}
	if got := phone.Take(t, "too late"); got != dead {
		t.Errorf("the replayed message has the mid %s, it had %s", got, dead)
	}
	nothingMore(t, relay, phone)

	if got := operates(t, relay, "dead", "drop", "--all"); got != "1 dropped\n" {
		t.Errorf("%q", got)
	}
	if got := operates(t, relay, "dead", "list"); got != "no dead letters\n" {
		t.Errorf("%q", got)
	}
	if got := operates(t, relay, "trace", dead); !hasLine(got, "phone", "ok") || !hasLine(got, "tablet", "failed", "dropped") {
		t.Errorf("%s", got)
	}
	relay.Member(t, "tablet", "family").ExpectNothing(t)
	if b := balance(t, relay); b.Total.Dead != 1 || b.Total.Pending != 0 {
		t.Errorf("books %+v", b)
	}
}

func TestDeadCommandsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, harness.Object{"limits": harness.Object{"queueLength": 2}})
	relay.Away(t, "phone", "")
	dead := sentMID(t, relay.Do(t, atOnce("/phone.send?text=a&ttl=1")))
	fails(t, relay, dead, "phone")
	queue(t, relay, "phone", "b", "c")
	for _, row := range []struct {
		args []string
		says []string

		misused bool // by the command line itself
	}{
		{[]string{"dead", "replay", dead}, []string{"limits.queueLength", dead, "phone", "0 of 1"}, false},
		{[]string{"dead", "replay", "1"}, []string{"no such dead letter", "mpush dead list"}, false},
		{[]string{"dead", "replay", dead, "nobody"}, []string{"no such dead letter"}, false},
		{[]string{"dead", "drop", "12x"}, []string{`"12x" is no mid`}, true},
		{[]string{"dead", "show", "-1"}, []string{"-1"}, true},
		{[]string{"dead", "replay"}, []string{"--all"}, true},
		{[]string{"dead", "replay", dead, "--all"}, []string{"--all"}, true},
		{[]string{"dead", "drop", dead, "--receiver", "phone"}, []string{"--receiver", "--all"}, true},
		{[]string{"dead", "list", "--limit", "0"}, []string{"limit", "1000"}, true},
		{[]string{"dead", "list", "--below", "x"}, []string{`"x" is no mid`}, true},
		{[]string{"dead", "lsit"}, []string{"lsit"}, true},
		{[]string{"trace", "7"}, []string{"no such message"}, false},
	} {
		got := operate(t, relay, row.args...)
		code := 1
		if row.misused {
			code = 2
		}
		if got.Code != code || got.Stdout != "" || !hasLine(got.Stderr, append(row.says, "mpush: ")...) {
			t.Errorf("mpush %v: exit code %d, expected %d and %q\n%s%s", row.args, got.Code, code, row.says, got.Stdout, got.Stderr)
		}
	}
	var list letters
	operateJSON(t, relay, &list, "dead", "list")
	if len(list.Letters) != 1 {
		t.Errorf("after commands that failed there are the dead letters %+v", list)
	}
}

// What was for a receiver that is gone can be traced, and nobody is left whom it
// could be sent to.
func TestForgottenReceiversLettersAreInTheHistoryAlone(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, nil)
	relay.Away(t, "phone", "")
	mid := queue(t, relay, "phone", "unread")[0]
	phone := relay.Receiver(t, "phone")
	phone.ExpectText(t, "unread")
	phone.Send(t, `{"cmd":"UNREGISTER"}`)
	fails(t, relay, mid, "phone")
	if got := operates(t, relay, "dead", "list"); got != "no dead letters\n" {
		t.Errorf("%q", got)
	}
	if got := operate(t, relay, "dead", "replay", mid); got.Code != 1 || !strings.Contains(got.Stderr, "no such dead letter") {
		t.Errorf("exit code %d, %s", got.Code, got.Stderr)
	}
	// Another by the same name inherits nothing.
	relay.Receiver(t, "phone").ExpectNothing(t)
	if got := operates(t, relay, "trace", mid); !hasLine(got, "phone", "failed", "forgotten") {
		t.Errorf("%s", got)
	}
	if b := balance(t, relay); b.Total.Dead != 1 {
		t.Errorf("books %+v", b)
	}
}
