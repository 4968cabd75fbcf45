package conformance

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

const (
	// pipeDrain is how long what a dead process wrote is still read.
	pipeDrain = 250 * time.Millisecond
	// A reader that was held up for all of it looks a last time: as often as it
	// takes for what a pipe holds, since a descendant may go on writing.
	lastLook  = 50 * time.Millisecond
	lastLooks = 3
	// groupGrace is how long what a plugin has started may outlive it.
	groupGrace = 2 * time.Second
)

// process is a child in a process group of its own, with three pipes.
type process struct {
	pid            int
	stdin          *os.File // our ends
	stdout, stderr *os.File
	state          *os.ProcessState // once done is closed

	dead context.Context // ends as soon as the child does
	done chan struct{}   // closed when besides its group is gone and its output is read
	left []int           // of its group, groupGrace after its end; then killed

	pumps sync.WaitGroup // read the output

	mu     sync.Mutex
	reaped bool // the pid may belong to a stranger
}

// startProcess starts cmd, which has a path, arguments, an environment and a
// directory. Each writer is written to by one goroutine.
func startProcess(cmd *exec.Cmd, stdout, stderr func([]byte)) (*process, error) {
	var files []*os.File
	closeAll := func(files ...*os.File) {
		for _, f := range files {
			_ = f.Close()
		}
	}
	for range 3 {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(files...)
			return nil, err
		}
		files = append(files, r, w)
	}
	inR, inW, outR, outW, errR, errW := files[0], files[1], files[2], files[3], files[4], files[5]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inR, outW, errW
	cmd.SysProcAttr = childAttributes()
	p := &process{stdin: inW, stdout: outR, stderr: errR, done: make(chan struct{})}
	dead, died := context.WithCancel(context.Background())
	p.dead = dead
	started := make(chan error)
	go func() {
		// Where the kernel ends the child with its parent, that is this thread.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer died()
		err := cmd.Start()
		closeAll(inR, outW, errW)
		if err != nil {
			closeAll(inW, outR, errR)
			started <- err
			return
		}
		p.pid = cmd.Process.Pid
		p.pumps.Go(func() { pump(outR, stdout) })
		p.pumps.Go(func() { pump(errR, stderr) })
		started <- nil
		awaitDeath(cmd, func() {
			died()
			p.sweep()
		})
		p.state = cmd.ProcessState
		deadline := time.Now().Add(pipeDrain)
		_ = outR.SetReadDeadline(deadline)
		_ = errR.SetReadDeadline(deadline)
		p.pumps.Wait()
		closeAll(inW, outR, errR)
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// pump reads until there is no more. After the deadline it reads what the pipe
// still holds: it may not have had its turn before.
func pump(from *os.File, to func([]byte)) {
	buf := make([]byte, 32<<10)
	read := func() error {
		n, err := from.Read(buf)
		to(buf[:n])
		return err
	}
	err := read()
	for err == nil {
		err = read()
	}
	for looks := 0; looks < lastLooks && (err == nil || looks == 0 && errors.Is(err, os.ErrDeadlineExceeded)); looks++ {
		_ = from.SetReadDeadline(time.Now().Add(lastLook))
		err = read()
	}
}

// sweep notes what of the group outlives its leader, and ends it.
func (p *process) sweep() {
	for end := time.Now().Add(groupGrace); ; time.Sleep(5 * time.Millisecond) {
		if p.left = groupMembers(p.pid); len(p.left) == 0 || time.Now().After(end) {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	killGroup(p.pid)
	p.reaped = true
}

// kill kills the child and its group.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		killGroup(p.pid)
	}
}

// hangUp closes stdin, as a core's end does.
func (p *process) hangUp() { _ = p.stdin.Close() }

// cutPipes closes all pipes, as a core's death does: when the plugin hears of
// it by stdin, nobody reads what it says any more.
func (p *process) cutPipes() {
	_ = p.stdout.Close()
	_ = p.stderr.Close()
	p.pumps.Wait() // only then they are closed indeed
	_ = p.stdin.Close()
}
