package ops

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"mpush/core/engine"
	"mpush/core/message"
	"mpush/core/record"
	"mpush/core/relay"
	"mpush/core/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// still is a source that has one channel, with all that is told of one.
func still() *Source {
	return &Source{
		Ping:   func(context.Context) error { return nil },
		Survey: func(context.Context) (engine.Surveyed, error) { return engine.Surveyed{}, nil },
		Channels: func() []Channel {
			return []Channel{{Name: "way", State: "running", Running: true, PID: os.Getpid(), Memory: 1, MaxMemory: 2}}
		},
		Disk: func() Disk { return Disk{Store: 1, Free: 2, Reserve: 1} },
	}
}

// watched are metrics of a source, each of which has something to tell.
func watched(source *Source) *Metrics {
	m := NewMetrics("1.2.3")
	m.Watch(source)
	m.of("way")
	return m
}

func gather(t *testing.T, m *Metrics) map[string]*dto.MetricFamily {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]*dto.MetricFamily)
	for _, f := range families {
		byName[f.GetName()] = f
	}
	return byName
}

// series are how many there are.
func series(families map[string]*dto.MetricFamily) (n int) {
	for _, f := range families {
		n += len(f.Metric)
	}
	return n
}

// value is that of the only series with these labels, given as NAME=VALUE.
func value(t *testing.T, m *Metrics, name string, labels ...string) float64 {
	t.Helper()
	for _, metric := range gather(t, m)[name].GetMetric() {
		have := make(map[string]bool)
		for _, l := range metric.Label {
			have[l.GetName()+"="+l.GetValue()] = true
		}
		all := true
		for _, l := range labels {
			all = all && have[l]
		}
		if all {
			return metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}
	t.Fatalf("there is no %s%v", name, labels)
	return 0
}

func TestMetricsKeepToTheNamingRules(t *testing.T) {
	problems, err := testutil.GatherAndLint(watched(still()).registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// acker is a channel whose receivers acknowledge all.
type acker struct {
	relay *relay.Relay
	link  engine.LinkID
	got   chan *engine.Deliver
	told  chan engine.AnswerBody
}

func (a *acker) Send(effects []engine.Effect) {
	for _, effect := range effects {
		switch ef := effect.(type) {
		case *engine.Deliver:
			a.got <- ef
		case *engine.Answer:
			a.told <- ef.Body
		}
	}
}

func (a *acker) submit(t *testing.T, events ...engine.Event) {
	t.Helper()
	if err := a.relay.Submit(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
}

func TestMetricsDoNotGrowWithReceivers(t *testing.T) {
	r := relay.New(engine.New(engine.Config{}, record.Registry{}, nil), store.NewMemory(), time.Now, slog.New(slog.DiscardHandler))
	m := NewMetrics("1")
	r.Observe(m, m.Committed)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	desk, err := r.Desk(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	source := still()
	source.Survey = func(ctx context.Context) (engine.Surveyed, error) {
		body, err := desk.Ask(ctx, func(l engine.LinkID, q engine.RequestID) engine.Event { return &engine.Survey{Link: l, Request: q} })
		s, _ := body.(engine.Surveyed)
		return s, err
	}
	m.Watch(source)
	m.Restarted("way", 0)
	before := series(gather(t, m))

	const receivers = 1000
	a := &acker{relay: r, got: make(chan *engine.Deliver, receivers), told: make(chan engine.AnswerBody, 2*receivers)}
	if a.link, err = r.Open(t.Context(), "way", 0, a); err != nil {
		t.Fatal(err)
	}
	for i := range receivers {
		a.submit(t, &engine.Attach{Link: a.link, Request: engine.RequestID{Number: 1}, Name: fmt.Sprint("r", i), Policy: record.Policy{Exclusive: true, Acks: true, Prefetch: 1, Resend: 60_000}})
	}
	for range receivers {
		if body, ok := (<-a.told).(engine.Attached); !ok {
			t.Fatalf("%+v", body)
		}
	}
	for i := range receivers {
		a.submit(t, &engine.Publish{Link: a.link, Request: engine.RequestID{Number: 2}, SendType: message.Personal, Target: fmt.Sprint("r", i), Text: "x", Wait: 60_000})
	}
	for range receivers {
		d := <-a.got
		a.submit(t, &engine.Outcome{Link: a.link, Receiver: d.Receiver, Generation: d.Generation, MID: d.Message.MID, Kind: engine.Acked})
	}
	for range receivers {
		if _, ok := (<-a.told).(engine.Published); !ok {
			t.Fatal("a message was not published")
		}
	}
	a.submit(t, &engine.Publish{Link: a.link, Request: engine.RequestID{Number: 3}, SendType: message.Personal, Target: "stranger"})
	<-a.told

	for metric, want := range map[string]float64{
		"mpush_messages_accepted_total": receivers, "mpush_acks_total": receivers, "mpush_ack_seconds": receivers,
		"mpush_delivery_seconds": receivers, "mpush_receivers": receivers, "mpush_routes": receivers, "mpush_queue_messages": 0, "mpush_in_flight": 0,
		"mpush_retries_total": 0,
	} {
		if got := value(t, m, metric); got != want {
			t.Errorf("%s is %v, not %v", metric, got, want)
		}
	}
	if got := value(t, m, "mpush_deliveries_total", "channel=way", "outcome=acked"); got != receivers {
		t.Errorf("%v deliveries were acked", got)
	}
	if got := value(t, m, "mpush_messages_refused_total", "reason=no_receiver"); got != 1 {
		t.Errorf("%v messages to nobody", got)
	}
	if value(t, m, "mpush_store_commit_seconds") == 0 || value(t, m, "mpush_store_commit_messages") == 0 {
		t.Error("no commit was counted")
	}
	if after := series(gather(t, m)); after != before {
		t.Errorf("%d series before, %d after", before, after)
	}
}

func TestRestartsAreCountedOnOverReloads(t *testing.T) {
	m := NewMetrics("1")
	for _, restarts := range []int{0, 1, 1, 2, 0, 0, 1} { // 0 again: the configuration was reloaded
		m.Restarted("way", restarts)
	}
	if got := value(t, m, "mpush_plugin_restarts_total"); got != 3 {
		t.Errorf("%v restarts", got)
	}
}

func TestWhatIsNotKnownIsLeftOut(t *testing.T) {
	source := still()
	source.Survey = func(context.Context) (engine.Surveyed, error) { return engine.Surveyed{}, errors.New("stuck") }
	source.Channels = func() []Channel { return []Channel{{Name: "way", State: "backoff"}} }
	source.Disk = func() Disk { return Disk{Store: -1, Free: -1, Low: true} }
	m := watched(source)
	got := gather(t, m)
	for _, name := range []string{"mpush_queue_messages", "mpush_routes", "mpush_plugin_resident_memory_bytes", "mpush_plugin_open_fds", "mpush_store_bytes", "mpush_disk_free_bytes"} {
		if got[name] != nil {
			t.Errorf("there is %s", name)
		}
	}
	if value(t, m, "mpush_plugin_up") != 0 || value(t, m, "mpush_store_accepting") != 0 {
		t.Error("what is down is told to be up")
	}
}

func TestFailedCommitsAreCountedAndForgiven(t *testing.T) {
	m := watched(still())
	m.Committed(relay.Commit{Err: store.ErrFull, Messages: 3})
	if value(t, m, "mpush_store_commit_failures_total") != 1 || value(t, m, "mpush_store_accepting") != 0 || value(t, m, "mpush_store_commit_messages") != 0 {
		t.Error("a failed commit was not counted as one")
	}
	m.Committed(relay.Commit{Messages: 1})
	if value(t, m, "mpush_store_accepting") != 1 {
		t.Error("the store is still told to accept nothing")
	}
}

// The observer is on every message's way.
func TestCountingAllocatesNothing(t *testing.T) {
	m := watched(still())
	n := testing.AllocsPerRun(100, func() {
		m.Accepted()
		m.Attempted("way", true)
		m.Delivered("way", "acked", 3)
		m.Acked("way", 4)
		m.Committed(relay.Commit{Took: time.Millisecond, Messages: 1})
	})
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCounting(b *testing.B) {
	m := watched(still())
	b.ReportAllocs()
	for b.Loop() {
		m.Accepted()
		m.Attempted("way", false)
		m.Delivered("way", "acked", 3)
		m.Acked("way", 4)
	}
}

var _ prometheus.Collector = (*gauges)(nil)

func TestCPUOfEarlierProcessesIsKept(t *testing.T) {
	source := still()
	m := watched(source)
	if gather(t, m)["mpush_plugin_cpu_seconds_total"] == nil {
		t.Skip("this system does not tell what processes use")
	}
	before := value(t, m, "mpush_plugin_cpu_seconds_total")
	for began := time.Now(); time.Since(began) < 50*time.Millisecond; {
		_ = strings.Repeat("x", 1000)
	}
	used := value(t, m, "mpush_plugin_cpu_seconds_total")
	source.Channels = func() []Channel { return []Channel{{Name: "way", State: "backoff"}} }
	if got := value(t, m, "mpush_plugin_cpu_seconds_total"); got < used || used < before {
		t.Errorf("%v, then %v, and %v when the process had ended", before, used, got)
	}
}
