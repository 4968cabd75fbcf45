package supervisor

import (
	"math/rand/v2"
	"time"
)

// Timeouts bound the steps of a channel's life. Zero stands for the default.
type Timeouts struct {
	Handshake time.Duration // from start of the process to a connection; 30 s
	Describe  time.Duration // 10 s
	Configure time.Duration // 10 s
	Declare   time.Duration // from opening the stream to declared; 10 s
	Together  time.Duration // how long channels wait for one another; 45 s
	Start     time.Duration // 30 s
	// HealthEvery is the pause between two questions, Health the time for an
	// answer: 10 s and 5 s. Two in a row without an answer: hung.
	HealthEvery time.Duration
	Health      time.Duration
	GroupEvery  time.Duration // from one look at memory and processes to the next; 3 s
	Drain       time.Duration // what Stop grants a plugin; 5 s
	Exit        time.Duration // from drained to killed; 1 s
	// Grace is how long the end of one of the two, a connection and its process,
	// waits for that of the other, which may explain it; 500 ms.
	Grace time.Duration
}

// drainMargin is what a plugin may be late with the answer to Stop.
const drainMargin = 250 * time.Millisecond

func (t Timeouts) withDefaults() Timeouts {
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Handshake, 30 * time.Second},
		{&t.Describe, 10 * time.Second},
		{&t.Configure, 10 * time.Second},
		{&t.Declare, 10 * time.Second},
		{&t.Together, 45 * time.Second},
		{&t.Start, 30 * time.Second},
		{&t.HealthEvery, 10 * time.Second},
		{&t.Health, 5 * time.Second},
		{&t.GroupEvery, 3 * time.Second},
		{&t.Drain, 5 * time.Second},
		{&t.Exit, time.Second},
		{&t.Grace, 500 * time.Millisecond},
	} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	return t
}

// Backoff says how long to wait before a restart: not at all for a plugin that
// was ready for ReadyFor, else Min, doubling with every such death in a row up
// to Max, each shortened by up to a fifth so that channels do not march in step.
// Zero stands for the default.
type Backoff struct {
	ReadyFor time.Duration // 5 s
	Min      time.Duration // 500 ms
	Max      time.Duration // 60 s
	// Jitter returns a number in [0,1); nil is a random one.
	Jitter func() float64
}

func (b Backoff) withDefaults() Backoff {
	if b.ReadyFor <= 0 {
		b.ReadyFor = 5 * time.Second
	}
	if b.Min <= 0 {
		b.Min = 500 * time.Millisecond
	}
	if b.Max < b.Min {
		b.Max = max(b.Min, time.Minute)
	}
	if b.Jitter == nil {
		b.Jitter = rand.Float64
	}
	return b
}

// delay returns the pause after a life that was ready for so long, with the
// number of early deaths in a row before it, and the number to pass next time.
func (b Backoff) delay(ready time.Duration, earlier int) (pause time.Duration, deaths int) {
	if ready >= b.ReadyFor {
		return 0, 0
	}
	pause = b.Min
	for range earlier {
		if pause >= b.Max {
			break
		}
		pause *= 2
	}
	pause = min(pause, b.Max)
	return pause - time.Duration(b.Jitter()*float64(pause)/5), earlier + 1
}
