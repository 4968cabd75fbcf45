package hostile

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mpush/test/harness"
)

// crowd is how many sockets a test opens. It is less where the system does not
// allow as many files; Go asks for all that it may have.
func crowd(t *testing.T) int {
	t.Helper()
	n := 5000
	if testing.Short() {
		n = 500
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	const others = 500
	if limit.Cur < uint64(n+others) {
		n = int(limit.Cur) - others
		t.Logf("only %d sockets: the system allows %d files", n, limit.Cur)
	}
	if n < 100 {
		t.Skipf("the system allows %d files", limit.Cur)
	}
	return n
}

// mostPerSocket is what a socket may cost while it is open, in bytes, and room
// for what is not yet collected.
const mostPerSocket = 32 << 10

const authTimeout = 4 * time.Second

// stranger is a socket that nobody has authenticated on.
type stranger struct {
	conn   net.Conn
	opened time.Time
}

// closed waits for the end of the socket: a close frame with the code 1008, not
// before its time.
func (s stranger) closed() error {
	_ = s.conn.SetReadDeadline(time.Now().Add(authTimeout + harness.Patience))
	rest, err := io.ReadAll(s.conn)
	if err != nil {
		return err
	}
	const policy = "\x03\xf0no AUTH in time"
	if want := fmt.Sprintf("\x88%c%s", len(policy), policy); string(rest) != want {
		return fmt.Errorf("read %q", rest)
	}
	if took := time.Since(s.opened); took < authTimeout-authTimeout/8 {
		return fmt.Errorf("closed after %v", took)
	}
	return nil
}

// wave opens n sockets and waits until all of them are closed.
func (w *witness) wave(t *testing.T, n int) {
	t.Helper()
	address := w.Address(t, "websocket")
	var closing sync.WaitGroup
	var mu sync.Mutex
	faults := make(map[string]int)
	for i := range n {
		opened := time.Now() // before the server knows of it
		conn, err := bareSocket(address)
		if err != nil {
			t.Fatal(err)
		}
		s := stranger{conn, opened}
		// Some say something, which is not what is asked of them.
		if i%3 == 0 {
			if _, err := io.WriteString(conn, frame(fin|pong, "")); err != nil {
				t.Fatal(err)
			}
		}
		closing.Go(func() {
			err := s.closed()
			_ = conn.Close()
			if err != nil {
				mu.Lock()
				faults[err.Error()]++
				mu.Unlock()
			}
		})
		if i%500 == 0 {
			w.served(t)
		}
	}
	w.whileServed(t, func() error {
		closing.Wait()
		return nil
	})
	for fault, times := range faults {
		t.Errorf("%d sockets: %s", times, fault)
	}
}

func TestCrowdThatNeverAuthenticatesLeavesNothing(t *testing.T) {
	t.Parallel()
	n := crowd(t)
	w := startWitness(t, harness.Object{"websocket": harness.Object{"authTimeout": authTimeout.Milliseconds()}})
	w.served(t) // some files are opened when they are first needed
	pid := w.Channel(t, "websocket").PID
	memoryBefore := memory(t, pid)
	var pids []int
	before := make(map[int]int)
	for _, p := range w.Processes() {
		pids = append(pids, p.PID)
		before[p.PID] = files(t, p.PID)
	}
	// What is not given back after one wave the next takes again. A freed page
	// stays with the process for a while, so that this shows gross faults only;
	// the channel's own tests look into its heap.
	const waves = 2
	for range waves {
		w.wave(t, n)
	}
	grown := memory(t, pid) - memoryBefore
	t.Logf("%d times %d sockets: the memory has grown by %d KiB a socket", waves, n, grown/n>>10)
	if !harness.Race && grown > n*mostPerSocket {
		t.Errorf("%d times %d sockets: the memory has grown by %d MiB", waves, n, grown>>20)
	}
	for _, pid := range pids {
		eventually(t, fmt.Sprintf("process %d has as many files as before", pid), func() bool { return files(t, pid) <= before[pid] })
	}
	w.unharmed(t)
}

// A crowd at the door of one who is let in: the limit is told, and holds nobody
// who is in already.
func TestCrowdBeyondTheLimitIsRefused(t *testing.T) {
	t.Parallel()
	const limit = 50
	w := startWitness(t, harness.Object{"websocket": harness.Object{"maxConnections": limit}})
	address, pid := w.Address(t, "websocket"), w.Channel(t, "websocket").PID
	before := files(t, pid)
	refused := 0
	for range 4 * limit {
		conn, err := net.DialTimeout("tcp", address, harness.Patience)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if openSocket(conn) != nil {
			refused++
		}
	}
	if refused < 3*limit {
		t.Errorf("%d of %d connections were refused", refused, 4*limit)
	}
	status, body := w.RefusedDial(t)
	if status != 503 || !strings.Contains(body, "too many connections") {
		t.Errorf("got %d %s", status, body)
	}
	w.served(t)
	if now := files(t, pid); now > before+limit {
		t.Errorf("%d files are open, of %d connections", now, limit)
	}
}
