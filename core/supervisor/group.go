package supervisor

import (
	"context"
	"fmt"
	"time"
)

// manyProcesses is how many processes a plugin may have before the log says so:
// they are the operator's to judge, and end with the plugin.
const manyProcesses = 32

// nameEvery is how often the log says the same of a plugin at most.
const nameEvery = 10 * time.Second

// usage is what a process group takes.
type usage struct {
	processes int
	resident  int64 // bytes; what several processes share counts for each
}

// Memory tells what plugins with all processes of their groups have resident, in
// bytes, by their PIDs. On systems other than Linux it does not know.
func Memory(pids []int) map[int]int64 {
	memory := make(map[int]int64)
	for pid, u := range groupUsages(pids...) {
		memory[pid] = u.resident
	}
	return memory
}

// watchGroup looks at what the plugin and what it has started take, until ctx
// ends. Over Spec.MaxMemory the plugin's life ends.
func (l *life) watchGroup(ctx context.Context) {
	ticker := time.NewTicker(l.opts.Timeouts.GroupEvery)
	defer ticker.Stop()
	var named time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		usages := groupUsages(l.inst.pid())
		if usages == nil {
			return
		}
		u := usages[l.inst.pid()]
		if most := l.spec.MaxMemory; most > 0 && u.resident > most {
			what := fmt.Sprintf("uses more memory than limits.memory allows: %d MiB of %d MiB", u.resident>>20, most>>20)
			l.accuse(what)
			l.doom(what)
			return
		}
		if now := time.Now(); u.processes > manyProcesses && now.Sub(named) >= nameEvery {
			named = now
			l.log.Warn("channel misbehaves", "vice", "has started many processes", "count", u.processes)
			l.accuse(fmt.Sprintf("has started many processes (%d)", u.processes))
		}
	}
}
