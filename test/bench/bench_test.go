package bench

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mpush/test/harness"
)

// closedLoop has senders post total messages to random ones of the receivers,
// each the next when the last was answered, and returns the round trips. Every
// answer must be ok.
func closedLoop(b *testing.B, r *harness.Relay, senders, receivers, total int) []time.Duration {
	b.Helper()
	var next atomic.Int64
	var mu sync.Mutex
	var all []time.Duration
	var working sync.WaitGroup
	for range senders {
		s := newSender(b, r)
		working.Go(func() {
			var mine []time.Duration
			for {
				n := next.Add(1)
				if n > int64(total) {
					break
				}
				name := fmt.Sprintf("r%d", uint64(n)*2654435761%uint64(receivers))
				began := time.Now()
				answer, err := s.send("personal", name)
				if err != nil || !strings.Contains(answer, `"`+name+`":"ok"`) {
					b.Errorf("%s, %v", answer, err)
					break
				}
				mine = append(mine, time.Since(began))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, mine...)
		})
	}
	working.Wait()
	return all
}

// BenchmarkPipeline: acked messages from HTTP to a websocket receiver and back,
// 200 receivers.
func BenchmarkPipeline(b *testing.B) {
	for _, senders := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("senders=%d", senders), func(b *testing.B) {
			r := harness.Start(b, nil)
			var got atomic.Int64
			const receivers = 200
			for i := range receivers {
				dial(b, r, fmt.Sprintf("r%d", i), "", &got)
			}
			closedLoop(b, r, senders, receivers, 2*senders) // opens the connections
			m := newMeter(b, r)
			b.ResetTimer()
			trips := closedLoop(b, r, senders, receivers, b.N)
			b.StopTimer()
			m.report(b, b.N)
			latencies(b, trips)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

// BenchmarkSteadyRate: latency at 500 messages a second, far from saturation.
func BenchmarkSteadyRate(b *testing.B) {
	const rate, receivers, workers = 500, 200, 64
	r := harness.Start(b, nil)
	var got atomic.Int64
	for i := range receivers {
		dial(b, r, fmt.Sprintf("r%d", i), "", &got)
	}
	closedLoop(b, r, workers, receivers, 2*workers)
	due := make(chan int)
	trips := make([]time.Duration, b.N)
	var working sync.WaitGroup
	for range workers {
		s := newSender(b, r)
		working.Go(func() {
			for i := range due {
				began := time.Now()
				if _, err := s.send("personal", fmt.Sprintf("r%d", i%receivers)); err != nil {
					b.Error(err)
				}
				trips[i] = time.Since(began)
			}
		})
	}
	m := newMeter(b, r)
	b.ResetTimer()
	ticker := time.NewTicker(time.Second / rate)
	for i := range b.N {
		<-ticker.C
		due <- i
	}
	ticker.Stop()
	close(due)
	working.Wait()
	b.StopTimer()
	m.report(b, b.N)
	latencies(b, trips)
}

// BenchmarkGroup: one send to a group of 1,000, until all have acked. The CPU
// time is per delivery.
func BenchmarkGroup(b *testing.B) {
	const members = 1000
	r := harness.Start(b, nil)
	var got atomic.Int64
	for i := range members {
		dial(b, r, fmt.Sprintf("r%d", i), "all", &got)
	}
	s := newSender(b, r)
	if answer, err := s.send("group", "all"); err != nil || strings.Count(answer, `"ok"`) != 2*members {
		b.Fatalf("%.200s, %v", answer, err)
	}
	m := newMeter(b, r)
	b.ResetTimer()
	for range b.N {
		if _, err := s.send("group", "all"); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	m.report(b, b.N*members)
	b.ReportMetric(float64(b.N*members)/b.Elapsed().Seconds(), "deliveries/s")
}

// BenchmarkDrain: a receiver comes back to a queue of b.N messages, after a
// restart of the relay, and acks them one by one. Run it with -benchtime 1000000x
// to see that a long queue costs no memory.
func BenchmarkDrain(b *testing.B) {
	const senders = 64
	config := harness.FixedPorts(b)
	config["limits"] = harness.Object{"queueLength": 0, "queueBytes": 0}
	r := harness.Start(b, config)
	var got atomic.Int64
	dial(b, r, "r0", "", &got).conn.Close()
	var next atomic.Int64
	var working sync.WaitGroup
	for range senders {
		s := newSender(b, r)
		working.Go(func() {
			for next.Add(1) <= int64(b.N) {
				if _, err := s.sendNow("r0"); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	working.Wait()
	r.Stop(b)
	got.Store(0)
	began := time.Now()
	r.Start(b)
	start := time.Since(began)
	m := newMeter(b, r)
	before := m.memory(b)
	b.ResetTimer()
	dial(b, r, "r0", "", &got)
	peak, first := before, time.Duration(0)
	deadline := time.Now().Add(10 * time.Minute)
	for round := 0; got.Load() < int64(b.N); round++ {
		if time.Now().After(deadline) {
			b.Fatalf("%d of %d came", got.Load(), b.N)
		}
		if first == 0 && got.Load() > 0 {
			first = b.Elapsed()
		}
		if round%200 == 100 { // seldom: the kernel walks all pages for it
			peak = max(peak, m.memory(b))
		}
		time.Sleep(time.Millisecond)
	}
	b.StopTimer()
	m.report(b, b.N)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "drained/s")
	b.ReportMetric(float64(start.Milliseconds()), "start-ms")
	b.ReportMetric(float64(first.Microseconds())/1000, "first-ms")
	b.ReportMetric(float64(before)/(1<<20), "start-MiB")
	b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
}

// BenchmarkIdle: what b.N websocket connections without traffic cost in memory.
// Run it with -benchtime 5000x.
func BenchmarkIdle(b *testing.B) {
	r := harness.Start(b, harness.Object{"websocket": harness.Object{"maxConnections": 1_000_000}})
	var got atomic.Int64
	m := newMeter(b, r)
	before := m.memory(b)
	b.ResetTimer()
	for i := range b.N {
		dial(b, r, fmt.Sprintf("r%d", i), "", &got)
	}
	b.StopTimer()
	b.ReportMetric(float64(m.memory(b)-before)/1024/float64(b.N), "KiB/conn")
}
