package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"mpush/core/message"
	"mpush/core/record"
	"mpush/core/store"
)

// desk drives an engine with a store that answers at once, and keeps what comes
// out, one line an effect.
type desk struct {
	t     *testing.T
	e     *Engine
	mem   *store.Memory
	now   int64
	lines []string
	last  uint64

	answers []AnswerBody // as they are

	slow bool      // what is read arrives when arrive is called
	read []*Loaded // by then
}

const (
	socketLink LinkID = 1 // channel "sock", exclusive, acks
	pushLink   LinkID = 2 // channel "push", additional, hands off
)

func newDesk(t *testing.T, config Config) *desk {
	d := &desk{t: t, mem: store.NewMemory(), now: 1_000_000}
	d.boot(config)
	return d
}

func (d *desk) boot(config Config) {
	registry, err := d.mem.Load(context.Background())
	if err != nil {
		d.t.Fatal(err)
	}
	d.e = New(config, registry, nil)
	d.do(&LinkUp{Link: socketLink, Channel: "sock"}, &LinkReady{Link: socketLink},
		&LinkUp{Link: pushLink, Channel: "push"}, &LinkReady{Link: pushLink})
}

func (d *desk) do(events ...Event) *desk {
	d.t.Helper()
	for _, event := range events {
		d.take(d.e.Step(d.now, event))
	}
	return d
}

func (d *desk) wait(ms int64) *desk {
	d.t.Helper()
	for end := d.now + ms; ; {
		at, ok := d.e.NextTimer()
		if !ok || at > end {
			d.now = end
			return d
		}
		d.now = at
		d.take(d.e.Advance(d.now))
	}
}

func (d *desk) take(effects []Effect) {
	d.t.Helper()
	for _, effect := range slices.Clone(effects) {
		switch ef := effect.(type) {
		case *Write:
			if err := d.mem.Commit(context.Background(), ef.Ops); err != nil {
				d.t.Fatal(err)
			}
			if ef.Token != 0 {
				d.do(&Written{Token: ef.Token})
			}
		case *Load:
			ev := &Loaded{Token: ef.Token}
			ev.Items, ev.More, ev.Err = d.mem.Next(context.Background(), ef.Receiver, ef.After, ef.N, ef.MaxBytes)
			if d.slow {
				d.read = append(d.read, ev)
			} else {
				d.do(ev)
			}
		case *Find:
			ev := &Found{Token: ef.Token}
			ev.Item, _, ev.Err = d.mem.Find(context.Background(), ef.Receiver, ef.MID)
			d.do(ev)
		case *Trace:
			ev := &Traced{Token: ef.Token}
			ev.Message, ev.Items, ev.Err = d.mem.Trace(context.Background(), ef.MID)
			d.do(ev)
		case *LookUp:
			ev := &Sent{Token: ef.Token}
			ev.Key, ev.Found, ev.Err = d.mem.Sent(context.Background(), ef.Sender, ef.Name)
			d.do(ev)
		case *Deliver:
			d.note("deliver %s %s gen%d try%d", ef.Receiver, ef.Message.Text, ef.Generation, ef.Attempt)
		case *Recall:
			d.note("recall %s %d", ef.Receiver, ef.MID)
		case *Evict:
			d.note("evict %s gen%d", ef.Receiver, ef.Generation)
		case *Answer:
			d.noteAnswer(ef)
		}
	}
}

func (d *desk) note(format string, args ...any) {
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

func (d *desk) noteAnswer(a *Answer) {
	d.answers = append(d.answers, a.Body)
	switch body := a.Body.(type) {
	case Published:
		words := []string{}
		for _, s := range body.Statuses {
			words = append(words, s.Receiver+"="+s.Status.String())
		}
		d.note("told %s", strings.Join(words, " "))
	case Attached:
		d.note("attached %s gen%d", body.Name, body.Generation)
	case *Refusal:
		d.note("refused %d", body.Code)
	case Done:
		d.note("done")
	}
}

// arrive hands over what was read.
func (d *desk) arrive() *desk {
	d.t.Helper()
	read := d.read
	d.slow, d.read = false, nil
	for _, ev := range read {
		d.do(ev)
	}
	return d
}

// got checks the effects since the last call.
func (d *desk) got(want ...string) *desk {
	d.t.Helper()
	if !slices.Equal(d.lines, want) {
		d.t.Fatalf("got\n  %s\nwant\n  %s", strings.Join(d.lines, "\n  "), strings.Join(want, "\n  "))
	}
	d.lines = nil
	return d
}

func (d *desk) forget() *desk { d.lines = nil; return d }

func (d *desk) request() RequestID { d.last++; return RequestID{Number: d.last} }

func (d *desk) send(target, text string, wait int64) *desk {
	d.t.Helper()
	return d.do(&Publish{Link: socketLink, Request: d.request(), SendType: message.Personal, Target: target, Text: text, Wait: wait})
}

func (d *desk) sendGroup(target, text string, wait int64) *desk {
	d.t.Helper()
	return d.do(&Publish{Link: socketLink, Request: d.request(), SendType: message.Group, Target: target, Text: text, Wait: wait})
}

func (d *desk) attach(name string) *desk {
	d.t.Helper()
	return d.do(&Attach{Link: socketLink, Request: d.request(), Name: name, Group: "g", Policy: sockPolicy()})
}

func sockPolicy() record.Policy {
	return record.Policy{Exclusive: true, Acks: true, Prefetch: 1, Resend: 3000, Retry: 1000, RetryMax: 4000}
}

func (d *desk) register(name string) *desk {
	d.t.Helper()
	return d.do(&Register{Link: pushLink, Request: d.request(), Route: RouteSpec{Receiver: name, Group: "g", Policy: record.Policy{Retry: 1000, RetryMax: 4000}}})
}

// outcome reports on the receiver's head over a channel.
func (d *desk) outcome(link LinkID, name string, kind OutcomeKind, after int64) *desk {
	d.t.Helper()
	rt := d.e.receivers[name].route(d.e.links[link].channel)
	return d.do(&Outcome{Link: link, Receiver: name, Generation: rt.generation, MID: rt.window[0].MID, Kind: kind, After: after, Error: "why"})
}
