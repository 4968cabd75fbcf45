//go:build linux

package chaos

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"mpush/test/harness"
)

// ask runs one of the operator's commands and reads what it prints.
func (l *lane) ask(into any, args ...string) error {
	l.t.Helper()
	return ask(l.t, l.relay, into, args...)
}

func ask(t *testing.T, relay *harness.Relay, into any, args ...string) error {
	t.Helper()
	result := harness.Run(t, relay.Dir, nil, append(args, "--data", "data", "--json")...)
	if result.Code != 0 {
		return fmt.Errorf("mpush %s: exit code %d: %s%s", args[0], result.Code, result.Stdout, result.Stderr)
	}
	return json.Unmarshal([]byte(result.Stdout), into)
}

// channelState is what mpush status says of a channel.
type channelState struct {
	Name, State string
	PID         int
}

// channelStates are those of all channels, none while the core is away.
func (l *lane) channelStates() map[string]channelState {
	l.t.Helper()
	var status struct{ Channels []channelState }
	all := make(map[string]channelState)
	if err := l.ask(&status, "status"); err == nil {
		for _, c := range status.Channels {
			all[c.Name] = c
		}
	}
	return all
}

// awaitChannel waits until what is said of a channel meets a condition.
func (l *lane) awaitChannel(channel, what string, condition func(channelState) bool) {
	l.t.Helper()
	var now channelState
	if !poll(patience, func() bool { now = l.channelStates()[channel]; return condition(now) }) {
		l.t.Fatalf("after %s the channel %s is not %s: %+v\n%s", l.faults, channel, what, now, l.relay.Log())
	}
}

// audit is what mpush audit says.
type audit struct {
	Balanced bool
	Total    account
	Accounts []account
}

// books has the relay's own balance and dead letters held against the ledger.
// Nothing may be under way any more.
func (l *lane) books() {
	l.t.Helper()
	var audit audit
	// The last acks are on disk a moment after their senders were told.
	settled := func() bool {
		if err := l.ask(&audit, "audit"); err != nil {
			l.t.Fatal(err)
		}
		return audit.Total.Pending == 0 || !audit.Balanced
	}
	if !poll(patience, settled) || !audit.Balanced {
		l.ledger.wrong("audit", "when all is drained the books say %+v, balanced %v: %+v", audit.Total, audit.Balanced, audit.Accounts)
		return
	}
	for _, d := range l.deadLetters() {
		l.ledger.bury(d)
	}
	l.ledger.balance()
	l.ledger.audit(audit.Accounts)
}

// deadLetters are all that the relay lists.
func (l *lane) deadLetters() (all []deadLetter) {
	l.t.Helper()
	var page struct {
		Letters []struct {
			Message  struct{ MID, Text string }
			Delivery struct{ Receiver, Reason, EndedAt string }
		}
		Below string
	}
	for below := []string(nil); page.Below != "0"; below = []string{"--below", page.Below} {
		if err := l.ask(&page, append([]string{"dead", "list", "--limit", "1000"}, below...)...); err != nil {
			l.t.Fatal(err)
		}
		for _, p := range page.Letters {
			d := deadLetter{letter: letter{receiver: p.Delivery.Receiver}, text: p.Message.Text, reason: p.Delivery.Reason}
			var err error
			if d.mid, err = strconv.ParseInt(p.Message.MID, 10, 64); err != nil {
				l.t.Fatal(err)
			}
			if d.ended, err = time.Parse(time.RFC3339Nano, p.Delivery.EndedAt); err != nil {
				l.t.Fatal(err)
			}
			all = append(all, d)
		}
	}
	return all
}

// trace has what the relay knows of some messages held against the ledger.
func (l *lane) trace(count int) {
	l.t.Helper()
	l.ledger.mu.Lock()
	var sends []*send
	for _, s := range l.ledger.sends {
		if s.mid != 0 {
			sends = append(sends, s)
		}
	}
	l.ledger.mu.Unlock()
	slices.SortFunc(sends, func(a, b *send) int { return int(a.mid - b.mid) })
	for range min(count, len(sends)) {
		s := sends[l.rand.IntN(len(sends))]
		var trace struct {
			Message    struct{ MID, Text, Desp, SendType, Target string }
			Deliveries []struct{ Receiver, State string }
		}
		if err := l.ask(&trace, "trace", strconv.FormatInt(s.mid, 10)); err != nil {
			l.t.Fatal(err)
		}
		if m := trace.Message; m.Text != s.text || m.Desp != s.desp() || m.SendType != s.sendType || m.Target != s.target {
			l.ledger.wrong(s.sender, "the trace of %d says %q to %s %s, it is %q to %s %s", s.mid, m.Text, m.SendType, m.Target, s.text, s.sendType, s.target)
		}
		states := make(map[string]string)
		for _, d := range trace.Deliveries {
			states[d.Receiver] = d.State
		}
		for _, name := range s.receivers {
			l.ledger.traced(s, name, states[name])
		}
	}
}
