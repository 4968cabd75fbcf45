package ops

import (
	"sync"

	"github.com/prometheus/procfs"
)

// processes know what the plugins' processes have used, over all their lives.
// What one used after it was last looked at is lost with it.
type processes struct {
	mu    sync.Mutex
	lives map[string]*lived // by channel
}

// lived is a channel's processes so far.
type lived struct {
	pid   int
	began uint64  // the process's start, by the system: pids come again
	past  float64 // CPU seconds of those before it
	cpu   float64 // of it
}

// usage is what a channel's processes have used.
type usage struct {
	cpu   float64 // seconds, of all
	files int     // that the present one has open; negative: not known
}

// look returns each channel's usage, or nil where the system does not tell.
func (p *processes) look(channels []Channel) []usage {
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lives == nil {
		p.lives = make(map[string]*lived)
	}
	usages := make([]usage, len(channels))
	for i, c := range channels {
		l := p.lives[c.Name]
		if l == nil {
			l = &lived{}
			p.lives[c.Name] = l
		}
		usages[i].files = l.look(proc, c.PID)
		usages[i].cpu = l.past + l.cpu // as of this look
	}
	return usages
}

// look updates what is known and returns how many files are open.
func (l *lived) look(fs procfs.FS, pid int) int {
	if pid == 0 {
		return -1
	}
	process, err := fs.Proc(pid)
	if err != nil {
		return -1 // it has ended
	}
	stat, err := process.Stat()
	if err != nil {
		return -1
	}
	if pid != l.pid || stat.Starttime != l.began {
		l.past += l.cpu
		l.pid, l.began, l.cpu = pid, stat.Starttime, 0
	}
	l.cpu = max(l.cpu, stat.CPUTime())
	files, err := process.FileDescriptorsLen()
	if err != nil {
		return -1
	}
	return files
}
