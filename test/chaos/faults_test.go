//go:build linux

package chaos

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

// A fault is what is done to the relay: kill a process, stop it for a short time
// or until it counts as hung, ask it to end, and perhaps kill it while it does;
// have a channel start again, leave and return by the configuration, or spoil
// that; fill the disk.
type faultKind struct {
	victim string
	what   string
	weight int
	long   bool // with -kill.long only
}

var faultKinds = []faultKind{
	{"core", "kill", 5, false},
	{"core", "stop", 2, false},
	{"core", "terminate", 2, false},
	{"core", "interrupt", 2, false},
	{"http", "kill", 4, false},
	{"http", "stop", 2, false},
	{"websocket", "kill", 5, false},
	{"websocket", "stop", 3, false},
	{"webhook", "kill", 3, false},
	{"webhook", "stop", 1, false},
	{"webpush", "kill", 3, false},
	{"webpush", "stop", 1, false},
	{"http", "reload", 2, false},
	{"websocket", "reload", 2, false},
	{"webhook", "reload", 2, false},
	{"webpush", "reload", 2, false},
	{"webhook", "remove", 2, false},
	{"webpush", "remove", 2, false},
	{"config", "spoil", 1, false},
	{"core", "hang", 1, true},
	{"http", "hang", 1, true},
	{"websocket", "hang", 1, true},
	{"webhook", "hang", 1, true},
	{"webpush", "hang", 1, true},
}

// maxEarlyDeaths bounds how often in a row one channel is killed without a new
// start of the core, which would make the pauses before its restarts long.
const maxEarlyDeaths = 3

// choose picks a fault at random.
func (l *lane) choose() faultKind {
	if l.disk != nil && l.rand.IntN(2) == 0 {
		return faultKind{victim: "disk", what: "fill"}
	}
	all := 0
	for _, kind := range faultKinds {
		if !kind.long || *longFlag {
			all += kind.weight
		}
	}
	n := l.rand.IntN(all)
	for _, kind := range faultKinds {
		if kind.long && !*longFlag {
			continue
		}
		if n -= kind.weight; n < 0 {
			if kind.what == "kill" && l.deaths[kind.victim] >= maxEarlyDeaths {
				return faultKinds[0]
			}
			return kind
		}
	}
	panic("weights")
}

// fault does one fault to the end. During a short stop, then may do another.
func (l *lane) fault(kind faultKind, then func()) {
	l.t.Helper()
	l.did(kind.what + " " + kind.victim)
	switch {
	case kind.what == "stop":
		l.stop(kind.victim, then)
	case kind.what == "hang":
		l.hang(kind.victim)
	case kind.what == "terminate":
		l.terminate()
	case kind.what == "interrupt":
		l.ledger.remark("fault", "terminate core")
		l.signal(l.process("core"), syscall.SIGTERM)
		time.Sleep(time.Duration(l.rand.Int64N(int64(50 * time.Millisecond))))
		l.killCore()
	case kind.what == "reload":
		l.reload(kind.victim)
	case kind.what == "remove":
		l.remove(kind.victim)
	case kind.what == "spoil":
		l.spoil()
	case kind.what == "fill":
		l.fill(then)
	case kind.victim == "core":
		l.killCore()
	default:
		l.killPlugin(kind.victim)
	}
}

func (l *lane) killCore() {
	l.t.Helper()
	began := time.Now()
	died := l.ledger.kills(began, "core")
	l.relay.Kill(l.t)
	l.times.gone(time.Since(began))
	died(time.Now())
	for l.rand.IntN(3) == 0 {
		after := time.Duration(l.rand.Int64N(int64(150 * time.Millisecond)))
		l.faults = append(l.faults, fmt.Sprintf("abort its start after %v", after))
		l.abortStart(after)
	}
	l.startCore()
	l.times.note("core", time.Since(began))
}

func (l *lane) startCore() {
	l.t.Helper()
	l.relay.Start(l.t)
	clear(l.deaths)
	clear(l.killed)
	l.ledger.remark("fault", "core is up")
}

// terminate asks the core to end. Now and then a channel dies meanwhile.
func (l *lane) terminate() {
	l.t.Helper()
	if n := l.rand.IntN(2 * len(channels)); n < len(channels) {
		channel := channels[n]
		process, after := l.plugin(channel), time.Duration(l.rand.Int64N(int64(20*time.Millisecond)))
		var killing sync.WaitGroup
		defer killing.Wait()
		killing.Go(func() {
			time.Sleep(after)
			died := l.ledger.kills(time.Now(), channel)
			_ = process.Signal(syscall.SIGKILL) // it may have ended
			died(time.Now())
		})
	}
	l.ledger.remark("fault", "terminate core")
	var stopped []func()
	for _, channel := range channels {
		stopped = append(stopped, l.ledger.stops(time.Now(), channel))
	}
	l.relay.Stop(l.t)
	for _, noted := range stopped {
		noted()
	}
	l.startCore()
}

// killPlugin kills the process of a channel. The core starts another.
func (l *lane) killPlugin(channel string) {
	l.t.Helper()
	process := l.plugin(channel)
	began := time.Now()
	died := l.ledger.kills(began, channel)
	l.signal(process, syscall.SIGKILL)
	l.deaths[channel]++
	l.killed[channel] = process.Pid
	// It is dead when its successor serves, which is awaited later.
	l.dying[channel] = append(l.dying[channel], func(now time.Time) {
		died(now)
		l.times.note(channel, now.Sub(began))
	})
}

func (l *lane) process(victim string) *os.Process {
	l.t.Helper()
	if victim == "core" {
		return l.find(l.relay.PID())
	}
	return l.plugin(victim)
}

// stop stops a process for a short time, in which then may do something.
func (l *lane) stop(victim string, then func()) {
	l.t.Helper()
	process := l.process(victim)
	l.ledger.remark("fault", "stop %s", victim)
	l.signal(process, syscall.SIGSTOP)
	time.Sleep(time.Duration(50+l.rand.IntN(400)) * time.Millisecond)
	then()
	l.signal(process, syscall.SIGCONT)
	l.ledger.remark("fault", "%s goes on", victim)
}

// coreHang is longer than the core waits for anything of its plugins.
const coreHang = 16 * time.Second

// hang stops a process for so long that it counts as hung: a plugin until the
// core has killed it, the core until all that it had waited for is overdue.
func (l *lane) hang(victim string) {
	l.t.Helper()
	process := l.process(victim)
	if victim == "core" {
		l.ledger.remark("fault", "hang core")
		l.signal(process, syscall.SIGSTOP)
		time.Sleep(coreHang)
		l.signal(process, syscall.SIGCONT)
		return
	}
	died := l.ledger.kills(time.Now(), victim)
	l.signal(process, syscall.SIGSTOP)
	if !poll(patience, func() bool { pid := pluginPID(l.relay, victim); return pid != 0 && pid != process.Pid }) {
		l.t.Errorf("channel %s hung for %v, and nothing was done about it", victim, patience)
		l.signal(process, syscall.SIGCONT)
	}
	died(time.Now())
}
