package bench

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mpush/test/harness"
)

// meter takes the CPU time of a relay's processes between two moments.
type meter struct {
	relay *harness.Relay
	names []string
	pids  map[string]int
	start map[string]time.Duration
}

func newMeter(b *testing.B, r *harness.Relay) *meter {
	b.Helper()
	m := &meter{relay: r, pids: map[string]int{"core": r.PID()}, start: map[string]time.Duration{}}
	for _, name := range r.Channels() {
		m.pids[name] = r.Channel(b, name).PID
	}
	for name, pid := range m.pids {
		m.names = append(m.names, name)
		m.start[name] = cpuTime(b, pid)
	}
	slices.Sort(m.names)
	return m
}

// report gives the CPU time per message, in microseconds, for each process and
// in all.
func (m *meter) report(b *testing.B, messages int) {
	b.Helper()
	total := 0.0
	for _, name := range m.names {
		used := float64((cpuTime(b, m.pids[name]) - m.start[name]).Microseconds()) / float64(messages)
		b.ReportMetric(used, name+"-cpu-µs/msg")
		total += used
	}
	b.ReportMetric(total, "cpu-µs/msg")
}

// clockTick is the unit of /proc/PID/stat, fixed on Linux for all programs.
const clockTick = 10 * time.Millisecond

// cpuTime is a process's user and system time; it grows in steps of clockTick.
func cpuTime(tb testing.TB, pid int) time.Duration {
	tb.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		tb.Skip("needs Linux's /proc: ", err)
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	user, _ := strconv.ParseInt(string(fields[11]), 10, 64)
	system, _ := strconv.ParseInt(string(fields[12]), 10, 64)
	return time.Duration(user+system) * clockTick
}

// memory is the proportional set size of all of a relay's processes: what they
// share counts once.
func (m *meter) memory(tb testing.TB) (bytes int64) {
	tb.Helper()
	for _, pid := range m.pids {
		rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			tb.Skip("needs Linux's smaps_rollup: ", err)
		}
		for line := range strings.Lines(string(rollup)) {
			if kib, ok := strings.CutPrefix(line, "Pss:"); ok {
				n, _ := strconv.ParseInt(strings.Fields(kib)[0], 10, 64)
				bytes += n << 10
			}
		}
	}
	return bytes
}

// latencies reports quantiles in milliseconds.
func latencies(b *testing.B, all []time.Duration) {
	b.Helper()
	slices.Sort(all)
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50-ms", 0.50}, {"p99-ms", 0.99}} {
		i := min(int(float64(len(all))*q.at), len(all)-1)
		b.ReportMetric(float64(all[i].Microseconds())/1000, q.name)
	}
}
