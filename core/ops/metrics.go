package ops

import (
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"mpush/core/engine"
	"mpush/core/relay"
)

// Metrics count what happens, from the start of the core. They are an
// engine.Observer; all methods may be called from any goroutine and do not block.
type Metrics struct {
	registry *prometheus.Registry

	accepted    prometheus.Counter
	refused     *prometheus.CounterVec
	dead        *prometheus.CounterVec
	deliveries  *prometheus.CounterVec
	retries     *prometheus.CounterVec
	acks        *prometheus.CounterVec
	restarts    *prometheus.CounterVec
	delivery    *prometheus.HistogramVec
	ack         *prometheus.HistogramVec
	commit      prometheus.Histogram
	batch       prometheus.Histogram
	commitFault prometheus.Counter

	channels sync.Map // name to *channelMetrics: what a message touches

	source *Source // what Watch was given

	mu    sync.Mutex
	lives map[string]int // restarts of each channel, as it was last told
	fault error          // of the last transaction
}

var _ engine.Observer = (*Metrics)(nil)

// channelMetrics are one channel's, found once.
type channelMetrics struct {
	retries, acks prometheus.Counter
	delivery, ack prometheus.Observer
	outcomes      map[string]prometheus.Counter
}

// Buckets of the histograms, in seconds. The engine's clock has milliseconds.
func attemptBuckets() []float64 {
	return []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}
}

func ackBuckets() []float64 {
	return []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600}
}

// NewMetrics makes the metrics of a core of some version.
func NewMetrics(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), lives: make(map[string]int)}
	add := func(c prometheus.Collector) { m.registry.MustRegister(c) }
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		add(c)
		return c
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		add(c)
		return c
	}
	histograms := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
		add(h)
		return h
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
		add(h)
		return h
	}
	m.accepted = counter("mpush_messages_accepted_total", "Messages that are on disk, for one receiver or several.")
	m.refused = counters("mpush_messages_refused_total", "Messages that were not accepted, by reason.", "reason")
	m.dead = counters("mpush_dead_letters_total", "Messages that became dead letters of a receiver, by reason.", "reason")
	m.deliveries = counters("mpush_deliveries_total", "Attempts at a delivery that have ended, by channel and outcome.", "channel", "outcome")
	m.retries = counters("mpush_retries_total", "Attempts at a delivery that were not the first on the same connection.", "channel")
	m.acks = counters("mpush_acks_total", "Messages that a receiver has acknowledged, by the channel that the word came over.", "channel")
	m.restarts = counters("mpush_plugin_restarts_total", "Restarts of the channel's plugin after it failed.", "channel")
	m.delivery = histograms("mpush_delivery_seconds", "Time from an attempt at a delivery to its outcome.", attemptBuckets(), "channel")
	m.ack = histograms("mpush_ack_seconds", "Time from a message's acceptance to its acknowledgement, the receiver's absence included.", ackBuckets(), "channel")
	m.commit = histogram("mpush_store_commit_seconds", "Time that a transaction of the store took.",
		[]float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10})
	m.batch = histogram("mpush_store_commit_messages", "Messages that one transaction has accepted; those that accept none are left out.",
		[]float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000})
	m.commitFault = counter("mpush_store_commit_failures_total", "Transactions of the store that have failed.")
	for _, reason := range engine.RefusalReasons() {
		m.refused.WithLabelValues(reason)
	}
	for _, reason := range engine.DeadReasons() {
		m.dead.WithLabelValues(reason)
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "mpush_build_info", Help: "1, with the version of mpush and of Go.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	add(build)
	add(collectors.NewGoCollector())
	add(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// of finds a channel's metrics. They are there from the first time on, with zeros.
func (m *Metrics) of(channel string) *channelMetrics {
	if known, ok := m.channels.Load(channel); ok {
		return known.(*channelMetrics)
	}
	c := &channelMetrics{
		retries: m.retries.WithLabelValues(channel), acks: m.acks.WithLabelValues(channel),
		delivery: m.delivery.WithLabelValues(channel), ack: m.ack.WithLabelValues(channel),
		outcomes: make(map[string]prometheus.Counter),
	}
	for _, outcome := range engine.Deliveries() {
		c.outcomes[outcome] = m.deliveries.WithLabelValues(channel, outcome)
	}
	m.restarts.WithLabelValues(channel)
	known, _ := m.channels.LoadOrStore(channel, c)
	return known.(*channelMetrics)
}

// Accepted implements engine.Observer, as do the next five.
func (m *Metrics) Accepted() { m.accepted.Inc() }

// Refused is for those, too, who refuse messages before the engine sees them.
func (m *Metrics) Refused(reason string) { m.refused.WithLabelValues(reason).Inc() }

func (m *Metrics) Attempted(channel string, again bool) {
	if again {
		m.of(channel).retries.Inc()
	}
}

func (m *Metrics) Delivered(channel, outcome string, took int64) {
	c := m.of(channel)
	c.outcomes[outcome].Inc()
	c.delivery.Observe(float64(took) / 1000)
}

func (m *Metrics) Acked(channel string, after int64) {
	c := m.of(channel)
	c.acks.Inc()
	c.ack.Observe(float64(after) / 1000)
}

func (m *Metrics) Died(reason string, items int64) {
	m.dead.WithLabelValues(reason).Add(float64(items))
}

// Committed takes note of a transaction.
func (m *Metrics) Committed(c relay.Commit) {
	m.commit.Observe(c.Took.Seconds())
	if c.Err != nil {
		m.commitFault.Inc()
	} else if c.Messages > 0 {
		m.batch.Observe(float64(c.Messages))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = c.Err
}

// storeFault is why the last transaction failed; nil if it did not.
func (m *Metrics) storeFault() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fault
}

// Restarted is told how often a channel was restarted since it was configured:
// that begins anew with a reload of the configuration, the metric does not.
func (m *Metrics) Restarted(channel string, restarts int) {
	m.of(channel)
	m.mu.Lock()
	defer m.mu.Unlock()
	if more := restarts - m.lives[channel]; more > 0 {
		m.restarts.WithLabelValues(channel).Add(float64(more))
	}
	m.lives[channel] = restarts
}

// bound is how long the engine may take to answer before it counts as stuck.
const bound = 5 * time.Second
