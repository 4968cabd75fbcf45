package supervisor

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// pipeDrain is how long what a dead process wrote is still read. Its end may
// not come by itself: a descendant can hold the pipes.
const (
	pipeDrain = 250 * time.Millisecond
	// A reader that was held up for all of it looks a last time: as often as it
	// takes for what a pipe holds, since a descendant may go on writing.
	lastLook  = 50 * time.Millisecond
	lastLooks = 3
)

// process is a child with its pipes. Its methods may be called from any
// goroutine.
type process struct {
	pid   int
	stdin *os.File // our end; closing it tells the child to go
	state *os.ProcessState

	// dead ends as soon as the child does, done is closed when besides its
	// process group is killed and what it wrote is read.
	dead context.Context
	done chan struct{}

	mu     sync.Mutex
	reaped bool // the pid may belong to a stranger
	killed bool // by us
}

// reader takes what a process writes.
type reader interface {
	// begin is called once the process has started and returns where its
	// output goes. Each writer is written to by one goroutine and must not
	// block.
	begin(pid int) (stdout, stderr io.Writer)
	// end is called when there will be no more.
	end()
}

// startProcess starts cmd, which has a path, arguments and an environment, in a
// process group of its own. The reader hears nothing if that fails.
func startProcess(cmd *exec.Cmd, output reader) (*process, error) {
	var pipes [6]*os.File
	closeAll := func(files ...*os.File) {
		for _, f := range files {
			if f != nil {
				_ = f.Close()
			}
		}
	}
	for i := 0; i < len(pipes); i += 2 {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(pipes[:]...)
			return nil, err
		}
		pipes[i], pipes[i+1] = r, w
	}
	inR, inW, outR, outW, errR, errW := pipes[0], pipes[1], pipes[2], pipes[3], pipes[4], pipes[5]
	// Files, not writers: with those exec.Cmd would wait for the pipes' end.
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inR, outW, errW
	cmd.SysProcAttr = childAttributes()

	p := &process{stdin: inW, done: make(chan struct{})}
	dead, died := context.WithCancel(context.Background())
	p.dead = dead
	started := make(chan error)
	go func() {
		// The kernel kills the child when the thread that started it ends, not
		// the process: this thread does nothing else until the child is dead.
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
		stdout, stderr := output.begin(p.pid)
		started <- nil

		var pumps sync.WaitGroup
		pumps.Go(func() { pump(stdout, outR) })
		pumps.Go(func() { pump(stderr, errR) })
		waitAndKillGroup(cmd, p.killGroup)
		p.state = cmd.ProcessState
		died()
		deadline := time.Now().Add(pipeDrain)
		_ = outR.SetReadDeadline(deadline)
		_ = errR.SetReadDeadline(deadline)
		pumps.Wait()
		closeAll(outR, errR)
		output.end()
		p.closeStdin()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// pump reads until there is no more, whatever is written. After the deadline it
// reads what the pipe still holds: it may not have had its turn before.
func pump(to io.Writer, from *os.File) {
	buf := make([]byte, 32<<10)
	read := func() error {
		n, err := from.Read(buf)
		_, _ = to.Write(buf[:n])
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

// kill kills the child and its process group.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		p.killed = true
		killGroup(p.pid)
	}
}

// killGroup kills what is left of the process group of the dead child. It is
// called once, while no stranger can have the pid.
func (p *process) killGroup() {
	p.mu.Lock()
	defer p.mu.Unlock()
	killOrphans(p.pid)
	p.reaped = true
}

// closeStdin tells the child that it is over.
func (p *process) closeStdin() {
	_ = p.stdin.Close() // once more is harmless
}

// wasKilled tells whether kill ended the child.
func (p *process) wasKilled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.killed
}
