package sdk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mpush/sdk/pluginpb"
)

const (
	acked     = pluginpb.OutcomeKind_OUTCOME_KIND_ACKED
	handedOff = pluginpb.OutcomeKind_OUTCOME_KIND_HANDED_OFF
	retry     = pluginpb.OutcomeKind_OUTCOME_KIND_RETRY
	rejected  = pluginpb.OutcomeKind_OUTCOME_KIND_REJECTED
	gone      = pluginpb.OutcomeKind_OUTCOME_KIND_GONE
)

// recorder is a Dispatcher that remembers what it was given, and the core's end
// of the outbox.
type recorder struct {
	mu         sync.Mutex
	dispatched []*Delivery
	outcomes   []*pluginpb.Outcome
	onDispatch func(*Delivery)
}

func (*recorder) Describe() Manifest             { return Manifest{Name: "recorder"} }
func (*recorder) Evict(string, uint64, Eviction) {}

func (r *recorder) Dispatch(d *Delivery) {
	r.mu.Lock()
	r.dispatched = append(r.dispatched, d)
	r.mu.Unlock()
	if r.onDispatch != nil {
		r.onDispatch(d)
	}
}

func (r *recorder) send(e *pluginpb.PluginEnvelope) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outcomes = append(r.outcomes, e.GetOutcome())
}

// expect compares and forgets what was dispatched ("1 2") and reported
// ("1:ACKED").
func (r *recorder) expect(t *testing.T, dispatched, outcomes string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var gotDispatched, gotOutcomes []string
	for _, d := range r.dispatched {
		gotDispatched = append(gotDispatched, fmt.Sprint(d.Message.MID))
	}
	for _, o := range r.outcomes {
		gotOutcomes = append(gotOutcomes, fmt.Sprint(o.GetMid(), ":", strings.TrimPrefix(o.GetKind().String(), "OUTCOME_KIND_")))
	}
	if got := strings.Join(gotDispatched, " "); got != dispatched {
		t.Errorf("dispatched %q, want %q", got, dispatched)
	}
	if got := strings.Join(gotOutcomes, " "); got != outcomes {
		t.Errorf("outcomes %q, want %q", got, outcomes)
	}
	r.dispatched, r.outcomes = nil, nil
}

func (r *recorder) last() *Delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dispatched[len(r.dispatched)-1]
}

func newRecorder(t *testing.T) (*recorder, *sequencer) {
	r := &recorder{}
	return r, newSequencer(t.Context(), r, slog.New(slog.DiscardHandler), r.send)
}

func leaseOf(receiver string, generation uint64, mid int64, attempt uint32) *pluginpb.Deliver {
	return &pluginpb.Deliver{
		Message: &pluginpb.Message{Mid: mid},
		Routes:  []*pluginpb.DeliverRoute{{Receiver: receiver, Generation: generation, Attempt: attempt, IntervalMs: 3000}},
	}
}

func (s *sequencer) lease(generation uint64, mids ...int64) {
	for _, mid := range mids {
		s.deliver(leaseOf("phone", generation, mid, 0))
	}
}

func (s *sequencer) resend(generation uint64, mid int64) {
	s.deliver(leaseOf("phone", generation, mid, 1))
}

func TestOneMessageIsInFlightPerReceiver(t *testing.T) {
	r, s := newRecorder(t)
	s.attach("phone", 1, Policy{Prefetch: 8, Resend: time.Second})
	s.lease(1, 10, 11, 12)
	s.deliver(leaseOf("tablet", 2, 10, 0))
	r.expect(t, "10 10", "")
	if !s.acked("phone", 1, 10) {
		t.Error("the ack of the head is not known")
	}
	r.expect(t, "11", "10:ACKED")
	r.dispatched = nil
	s.routes["phone"].queue.head.delivery.Done(HandedOff)
	r.expect(t, "12", "11:HANDED_OFF")
}

func TestOutcomesReachTheCore(t *testing.T) {
	long := strings.Repeat("ä", maxErrorBytes)
	for _, test := range []struct {
		err   error
		kind  pluginpb.OutcomeKind
		after uint32
		text  string
	}{
		{nil, acked, 0, ""},
		{HandedOff, handedOff, 0, ""},
		{fmt.Errorf("by way of: %w", HandedOff), handedOff, 0, ""},
		{errors.New("no route"), retry, 0, "no route"},
		{Retry(errors.New("busy")), retry, 0, "busy"},
		{RetryAfter(1500*time.Microsecond, errors.New("busy")), retry, 2, "busy"},
		{RetryAfter(-1, errors.New("busy")), retry, 0, "busy"},
		{RetryAfter(1<<62, errors.New("busy")), retry, 1<<32 - 1, "busy"},
		{Permanent(errors.New("never")), rejected, 0, "never"},
		{fmt.Errorf("post: %w", Gone(errors.New("404"))), gone, 0, "post: 404"},
		{errors.New(long), retry, 0, long[:maxErrorBytes]},
		{errors.New("x" + long), retry, 0, ("x" + long)[:maxErrorBytes-1]},
		{errors.New("a\xffb"), retry, 0, "a\uFFFDb"},
	} {
		r, s := newRecorder(t)
		s.lease(1, 10)
		r.last().Done(test.err)
		got := r.outcomes[0]
		if got.GetKind() != test.kind || got.GetRetryAfterMs() != test.after || got.GetError() != test.text {
			t.Errorf("%v: got %v", test.err, got)
		}
		if got.GetReceiver() != "phone" || got.GetGeneration() != 1 || got.GetMid() != 10 {
			t.Errorf("%v: outcome of %v", test.err, got)
		}
	}
}

func TestOnlyTheFirstDoneCounts(t *testing.T) {
	r, s := newRecorder(t)
	s.lease(1, 10, 11)
	first := r.last()
	first.Done(nil)
	first.Done(errors.New("late"))
	first.Done(nil)
	r.expect(t, "10 11", "10:ACKED")
	(&Delivery{}).Done(nil) // made by hand, in a plugin's own test
}

func TestResendOfTheHeadIsDispatchedAgain(t *testing.T) {
	r, s := newRecorder(t)
	s.lease(1, 10, 11)
	first := r.last()
	s.resend(1, 10)
	if again := r.last(); again == first || again.Attempt != 1 || first.Attempt != 0 {
		t.Errorf("attempts %d and %d", first.Attempt, again.Attempt)
	}
	r.expect(t, "10 10", "")
	first.Done(nil)
	r.expect(t, "11", "10:ACKED")
}

func TestResendThatCrossesTheOutcomeIsNotDispatched(t *testing.T) {
	r, s := newRecorder(t)
	s.lease(1, 10, 11, 12)
	r.last().Done(nil)
	s.resend(1, 10)
	r.last().Done(HandedOff)
	s.resend(1, 11)
	// Should the core have skipped the first, it takes the second.
	r.expect(t, "10 11 12", "10:ACKED 10:ACKED 11:HANDED_OFF 11:HANDED_OFF")
	r2, s2 := newRecorder(t)
	for mid := range int64(2 * maxRecent) {
		s2.lease(1, mid)
		s2.acked("phone", 1, mid)
	}
	r2.dispatched = nil
	for mid := range int64(maxRecent) {
		s2.resend(1, maxRecent+mid)
	}
	if len(r2.dispatched) != 0 {
		t.Errorf("%d of the last %d were dispatched again", len(r2.dispatched), maxRecent)
	}
}

func TestResendOfALaterLeaseMakesItTheHead(t *testing.T) {
	r, s := newRecorder(t)
	s.lease(1, 10, 11, 12)
	skipped := r.last()
	s.lease(1, 12) // says nothing new
	s.resend(1, 12)
	r.expect(t, "10 12", "")
	skipped.Done(errors.New("void"))
	r.expect(t, "", "")
	s.acked("phone", 1, 12)
	s.lease(1, 13)
	r.expect(t, "13", "12:ACKED")
}

func TestRecallPassesOnWithoutAnOutcome(t *testing.T) {
	r, s := newRecorder(t)
	s.lease(1, 10, 11, 12, 13)
	first := r.last()
	s.recall("phone", 1, 12) // not sent yet
	s.recall("phone", 1, 10) // in flight
	s.recall("phone", 1, 99) // unknown
	s.recall("phone", 0, 11) // stale
	s.recall("tablet", 1, 11)
	r.expect(t, "10 11", "")
	first.Done(nil)
	r.expect(t, "", "")
	s.acked("phone", 1, 11)
	r.expect(t, "13", "11:ACKED")
}

func TestWhatIsLeasedAnewIsDispatchedThoughItWasAcked(t *testing.T) {
	for name, ack := range map[string]func(*sequencer, *Delivery){
		"done":  func(_ *sequencer, d *Delivery) { d.Done(nil) },
		"acked": func(s *sequencer, d *Delivery) { s.acked("phone", 1, d.Message.MID) },
	} {
		t.Run(name, func(t *testing.T) {
			r, s := newRecorder(t)
			s.attach("phone", 1, Policy{Prefetch: 8, Resend: time.Second})
			s.lease(1, 10, 11)
			ack(s, r.last())
			ack(s, r.last())
			r.expect(t, "10 11", "10:ACKED 11:ACKED")
			// Both were given back before the core hears of that. It takes the ack of
			// 10, the head, whatever it has leased meanwhile, but 11 was not sent yet.
			s.recall("phone", 1, 11)
			s.recall("phone", 1, 10)
			s.resend(1, 10)
			s.lease(1, 11)
			s.resend(1, 11)
			again := r.last()
			r.expect(t, "11 11", "10:ACKED")
			ack(s, again)
			r.expect(t, "", "11:ACKED")
		})
		t.Run(name+" after the recall", func(t *testing.T) {
			r, s := newRecorder(t)
			s.attach("phone", 1, Policy{Prefetch: 8, Resend: time.Second})
			s.lease(1, 10)
			first := r.last()
			s.recall("phone", 1, 10)
			ack(s, first)
			s.lease(1, 10) // replayed
			r.expect(t, "10 10", "")
		})
	}
}

func TestRecentMIDsAreTheLastThatWereNotRemoved(t *testing.T) {
	var recent recentMIDs
	var want []int64 // the oldest first
	for mid := range int64(10 * maxRecent) {
		recent.add(mid)
		want = append(want, mid)[max(0, len(want)+1-maxRecent):]
		if mid%7 == 0 {
			gone := want[int(mid)%len(want)]
			recent.remove(gone)
			recent.remove(gone)
			want = slices.DeleteFunc(want, func(m int64) bool { return m == gone })
		}
		for m := range mid + 2 {
			if recent.has(m) != slices.Contains(want, m) {
				t.Fatalf("after %d: has %d: %v, want %v", mid, m, recent.has(m), want)
			}
		}
	}
}

func TestAfterARetryTheCoreSaysWhereToBegin(t *testing.T) {
	for _, test := range []struct {
		name string
		core func(*sequencer)
		want string // dispatched, each acked at once
	}{
		{"again", func(s *sequencer) { s.resend(1, 10); s.lease(1, 11, 12) }, "10 11 12"},
		{"it has ended meanwhile", func(s *sequencer) { s.lease(1, 11, 12) }, "11 12"},
		{"it and the next have ended", func(s *sequencer) { s.lease(1, 12, 13) }, "12 13"},
		{"all have ended", func(s *sequencer) { s.lease(1, 20, 21); s.resend(1, 20) }, "20 21"},
		{"it was recalled before the core heard", func(s *sequencer) { s.recall("phone", 1, 10) }, "11 12"},
		{"something new again", func(s *sequencer) { s.resend(1, 20); s.lease(1, 21) }, "20 21"},
		{"a later one was recalled", func(s *sequencer) { s.recall("phone", 1, 11); s.recall("phone", 1, 10) }, "12"},
		{"silence", func(s *sequencer) { s.lease(1, 13) }, ""},
		{"new generation", func(s *sequencer) { s.lease(2, 11) }, "11"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, s := newRecorder(t)
			s.attach("phone", 1, Policy{Prefetch: 8, Resend: time.Second})
			s.lease(1, 10, 11)
			r.last().Done(errors.New("busy"))
			s.lease(1, 12) // leased before the core heard of it
			r.expect(t, "10", "10:RETRY")
			r.onDispatch = func(d *Delivery) { d.Done(nil) }
			test.core(s)
			var got []string
			for _, d := range r.dispatched {
				got = append(got, fmt.Sprint(d.Message.MID))
			}
			if got := strings.Join(got, " "); got != test.want {
				t.Errorf("dispatched %q, want %q", got, test.want)
			}
		})
	}
}

func TestRetryDropsLaterLeases(t *testing.T) {
	r, s := newRecorder(t)
	s.lease(1, 10, 11)
	r.last().Done(errors.New("busy"))
	s.lease(1, 10, 11)
	r.expect(t, "10 10", "10:RETRY")
}

func TestWithoutPrefetchNothingIsHeldBackAfterARetry(t *testing.T) {
	r, s := newRecorder(t)
	s.attach("phone", 1, Policy{Resend: time.Second})
	s.lease(1, 10)
	r.last().Done(errors.New("busy"))
	s.lease(1, 11)
	r.expect(t, "10 11", "10:RETRY")
}

func TestOnlyTheMessageInFlightIsAckedHere(t *testing.T) {
	r, s := newRecorder(t)
	s.lease(1, 10, 11, 12)
	for _, mid := range []int64{5, 11} {
		if s.acked("phone", 1, mid) {
			t.Errorf("the ack of %d was taken", mid)
		}
	}
	if s.acked("tablet", 1, 10) {
		t.Error("the ack of another receiver was taken")
	}
	s.recall("phone", 1, 11) // the core believes it
	s.acked("phone", 1, 10)
	r.expect(t, "10 12", "10:ACKED")
}

func TestDispatchMayFinishAtOnce(t *testing.T) {
	r, s := newRecorder(t)
	hold := true
	r.onDispatch = func(d *Delivery) {
		if !hold {
			d.Done(nil)
		}
	}
	mids := make([]int64, 200)
	for i := range mids {
		mids[i] = int64(i + 1)
	}
	s.lease(1, mids...)
	hold = false
	s.acked("phone", 1, 1)
	var got []int64
	for _, d := range r.dispatched {
		got = append(got, d.Message.MID)
	}
	if !slices.Equal(got, mids) || len(r.outcomes) != len(mids) {
		t.Errorf("dispatched %v, %d outcomes", got, len(r.outcomes))
	}
}

func TestPanicInDispatchIsARetry(t *testing.T) {
	r, s := newRecorder(t)
	r.onDispatch = func(*Delivery) { panic("boom") }
	s.lease(1, 10)
	if got := r.outcomes[0].GetError(); got != "panic: boom" {
		t.Errorf("error %q", got)
	}
	r.expect(t, "10", "10:RETRY")
}

func TestGoneEndsTheRoute(t *testing.T) {
	r, s := newRecorder(t)
	s.lease(1, 10, 11)
	r.last().Done(Gone(errors.New("410")))
	r.expect(t, "10", "10:GONE")
	if len(s.routes) != 0 {
		t.Error("the route is still known")
	}
}

func TestStoppedSequencerHandsOutNothing(t *testing.T) {
	r, s := newRecorder(t)
	s.lease(1, 10, 11)
	s.stop()
	r.last().Done(nil)
	s.deliver(leaseOf("tablet", 1, 10, 0))
	r.expect(t, "10", "10:ACKED")
}

func TestPluginWithoutEgressRejects(t *testing.T) {
	r := &recorder{}
	s := newSequencer(context.Background(), struct{ Plugin }{r}, slog.New(slog.DiscardHandler), r.send)
	s.lease(1, 10)
	r.expect(t, "", "10:REJECTED")
}
