package control

import (
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"mpush/core/engine"
	"mpush/core/message"
	"mpush/core/record"
)

// known answers Visit for these receivers.
func known(receivers ...engine.Resident) func(engine.Event) (engine.AnswerBody, error) {
	return func(event engine.Event) (engine.AnswerBody, error) {
		switch ev := event.(type) {
		case *engine.Visit:
			var visited engine.Visited
			for _, r := range receivers {
				if slices.Contains(ev.Names, r.Name) {
					visited.Receivers = append(visited.Receivers, r)
				}
			}
			return visited, nil
		case *engine.Unregister:
			return engine.Done{}, nil
		}
		return nil, errors.New("unexpected")
	}
}

func TestReceiversComeInPages(t *testing.T) {
	o := &office{names: []string{"a", "b/..", "c", "d"}}
	o.answer = known(engine.Resident{Name: "a"}, engine.Resident{Name: "b/..", Queued: 2, Bytes: 9, Group: "g", SeenAt: 1_596_543_210_000,
		Routes: []engine.Track{{Channel: "x", Kind: record.Registered, Up: true, InFlight: 1, Failures: 3, Error: "why", Next: 1_596_543_211_000}}}, engine.Resident{Name: "c"})
	o.queues = map[string][]record.Queued{"b/..": {{Item: record.Item{MID: 7}, Message: &message.Message{MID: 7, AcceptedAt: 1_596_543_200_000}}}}
	c := open(t, o, t.TempDir())
	var names []string
	after := ""
	for range 3 {
		page, err := c.Receivers(t.Context(), after, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Receivers {
			names = append(names, r.Name)
		}
		if after = page.After; after == "" {
			break
		}
	}
	// The engine has not heard of d, who is forgotten a moment ago.
	if !slices.Equal(names, []string{"a", "b/..", "c"}) || after != "" {
		t.Errorf("%q, then after %q", names, after)
	}
	got, err := c.Receiver(t.Context(), "b/..")
	ms := func(n int64) Time { return Time{time.UnixMilli(n).UTC()} }
	want := Receiver{Name: "b/..", Group: "g", Queued: 2, QueuedBytes: 9, OldestMID: 7, Oldest: ms(1_596_543_200_000), SeenAt: ms(1_596_543_210_000),
		Routes: []Route{{Channel: "x", Kind: "registered", Up: true, InFlight: 1, Failures: 3, Error: "why", Next: ms(1_596_543_211_000)}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestForgettingNeedsSomebody(t *testing.T) {
	for _, name := range []string{"..", ".", "a/b", "名字 ?#%", "a"} {
		o := &office{answer: known(engine.Resident{Name: name})}
		c := open(t, o, t.TempDir())
		if err := c.Forget(t.Context(), name); err != nil || !slices.Equal(o.gone, []string{name}) {
			t.Errorf("%q: forgot %q, %v", name, o.gone, err)
		}
		var refused *Error
		if err := c.Forget(t.Context(), "ghost"); !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
			t.Errorf("ghost: %v", err)
		}
		if _, err := c.Receiver(t.Context(), "ghost"); !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
			t.Errorf("ghost: %v", err)
		}
	}
}

func TestSendPublishesWhatIsAsked(t *testing.T) {
	var got []*engine.Publish
	o := &office{answer: func(event engine.Event) (engine.AnswerBody, error) {
		got = append(got, event.(*engine.Publish))
		return engine.Published{MID: 9, Statuses: []engine.TargetStatus{{Receiver: "a", Status: message.Status{Rank: message.Ready}}}}, nil
	}}
	c := open(t, o, t.TempDir())
	send := Send{SendType: "group", Target: "g", Text: "t", Desp: "d", Extra: []byte(`{"ttl":5,"n":12345678901234567890}`), WaitMs: 3, IdempotencyKey: "k"}
	for range 2 {
		if sent, err := c.Send(t.Context(), send); err != nil || sent.MID != 9 || sent.Status["a"] != "ready" {
			t.Errorf("%+v, %v", sent, err)
		}
	}
	send.Text = "other"
	if _, err := c.Send(t.Context(), send); err != nil {
		t.Fatal(err)
	}
	p := got[0]
	if p.FromMethod != Method || p.FromName != "" || p.SendType != message.Group || p.Target != "g" || p.Text != "t" || p.Desp != "d" ||
		string(p.Extra) != `{"ttl":5,"n":12345678901234567890}` || p.Wait != 3 || p.TTL != 5000 || p.Key.Name != "k" || p.Key.Sender != Method {
		t.Errorf("%+v", p)
	}
	if got[1].Key != p.Key || got[2].Key.Digest == p.Key.Digest {
		t.Errorf("keys %+v, %+v, %+v", p.Key, got[1].Key, got[2].Key)
	}
}

// What is no text would close every connection that it is written to.
func TestSendTakesAnExtraOfTextAlone(t *testing.T) {
	var got []*engine.Publish
	c := open(t, &office{answer: func(event engine.Event) (engine.AnswerBody, error) {
		got = append(got, event.(*engine.Publish))
		return engine.Published{MID: 9}, nil
	}}, t.TempDir())
	for _, extra := range []string{"{\"a\":\"\xff\"}", "{\"\xc3\":1}", "{\"a\":[{\"b\":\"\xed\xa0\x80\"}]}"} {
		var refused *Error
		if _, err := c.Send(t.Context(), Send{Target: "a", Extra: []byte(extra)}); !errors.As(err, &refused) || refused.Status != http.StatusBadRequest || !strings.HasPrefix(refused.Message, "extra: ") {
			t.Errorf("%q: %v", extra, err)
		}
	}
	if len(got) > 0 {
		t.Errorf("published %+v", got[0])
	}
	if _, err := c.Send(t.Context(), Send{Target: "a", Extra: []byte(`{"ä":"\ud800 标题"}`)}); err != nil || string(got[0].Extra) != `{"ä":"\ud800 标题"}` {
		t.Errorf("%v, published %+v", err, got)
	}
}

func TestHealthNamesWhatDoesNotWork(t *testing.T) {
	since := At(time.UnixMilli(1_596_543_210_000))
	o := &office{answer: func(engine.Event) (engine.AnswerBody, error) { return engine.Surveyed{DiskLow: true}, nil }}
	o.channels = []Channel{
		{Name: "good", State: Running}, {Name: "off", State: Disabled}, {Name: "dead", State: "backoff", Since: since, Error: "killed"},
		{Name: "ill", State: Running, Unhealthy: "no service"},
	}
	status, err := open(t, o, t.TempDir()).Status(t.Context())
	if err != nil || status.Health.OK || len(status.Health.Troubles) != 3 || status.Version != "1.2.3" || status.PID == 0 {
		t.Fatalf("%+v, %v", status, err)
	}
	if got := status.Health.Troubles[1:]; !reflect.DeepEqual(got, []Trouble{{Channel: "dead", Since: since, Reason: "backoff: killed"}, {Channel: "ill", Reason: "no service"}}) {
		t.Errorf("%+v", got)
	}
	o.answer = func(engine.Event) (engine.AnswerBody, error) { return engine.Surveyed{}, nil }
	o.channels = o.channels[:2]
	if status, err = open(t, o, t.TempDir()).Status(t.Context()); err != nil || !status.Health.OK || len(status.Health.Troubles) != 0 {
		t.Errorf("%+v, %v", status, err)
	}
}

func TestRatesAreOfTheLastMinute(t *testing.T) {
	start := time.UnixMilli(0)
	var r rates
	if got := r.now(start, 5, 5); got != (Rates{}) {
		t.Errorf("%+v before anything", got)
	}
	for i := range 25 { // two minutes, the second one busy
		seconds := 5 * i
		r.add(start.Add(time.Duration(seconds)*time.Second), uint64(10*max(0, seconds-60)), uint64(5*max(0, seconds-60)))
		if seconds == 10 {
			if got := r.now(start.Add(20*time.Second), 40, 0); got != (Rates{Accepted: 2, Seconds: 20}) {
				t.Errorf("%+v since the start", got)
			}
		}
	}
	if got := r.now(start.Add(120*time.Second), 600, 300); got != (Rates{Accepted: 10, Acked: 5, Seconds: 60}) {
		t.Errorf("%+v", got)
	}
	if len(r.samples) != 13 || !r.start().Equal(start) {
		t.Errorf("%d samples since %v", len(r.samples), r.start())
	}
}
