package hostile

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"mpush/test/harness"
)

// trickle is a connection that writes a byte every pause until the other side
// closes it. Its end is what was read.
type trickle struct {
	ended chan struct{}
	read  []byte        // valid once ended is closed
	took  time.Duration // valid once ended is closed
}

// startTrickle writes begin at once and a byte of more every pause, for ever.
func startTrickle(t *testing.T, address, begin string, more byte, pause time.Duration) *trickle {
	t.Helper()
	begun := time.Now() // before the server can have begun to count
	conn, err := net.DialTimeout("tcp", address, harness.Patience)
	if err != nil {
		t.Fatal(err)
	}
	s := &trickle{ended: make(chan struct{})}
	if _, err := io.WriteString(conn, begin); err != nil {
		t.Fatal(err)
	}
	// What was answered before the connection was reset is there to be read even
	// if a write has failed since: so the reader alone says when it is over.
	go func() {
		s.read, _ = io.ReadAll(conn)
		s.took = time.Since(begun)
		close(s.ended)
	}()
	written := make(chan struct{})
	go func() {
		defer close(written)
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-s.ended:
				return
			}
			if _, err := conn.Write([]byte{more}); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-s.ended
		<-written
	})
	return s
}

// end waits for the end of the connection and returns what was read.
func (s *trickle) end(t *testing.T) string {
	t.Helper()
	select {
	case <-s.ended:
	case <-time.After(harness.Patience):
		t.Fatal("the connection is still open")
	}
	return string(s.read)
}

const pace = 200 * time.Millisecond

func TestSlowSendersAreCutOffAndDelayNobody(t *testing.T) {
	t.Parallel()
	// A busy machine must read the headers of all the bodies in time.
	w := startWitness(t, harness.Object{"http": harness.Object{"headerTimeout": 8_000, "readTimeout": 10_000}})
	address, pid := w.Address(t, "http"), w.Channel(t, "http").PID
	before := files(t, pid)
	var headers, bodies []*trickle
	for i := range 100 {
		headers = append(headers, startTrickle(t, address, "GET /victim.send?text=t HTTP/1.1\r\nHost: h\r\nX-Slow: ", 'x', pace))
		body := `{"text":"`
		head := fmt.Sprintf("POST /victim.send HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", 1<<20)
		if i%2 == 1 {
			head, body = "POST /victim.send HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", "fffff\r\n"+body
		}
		bodies = append(bodies, startTrickle(t, address, head+body, 'x', pace))
	}
	w.whileServed(t, func() error {
		for _, s := range append(headers, bodies...) {
			select {
			case <-s.ended:
			case <-time.After(harness.Patience):
				return errors.New("a slow sender is still connected")
			}
		}
		return nil
	})
	for _, s := range headers {
		if got := s.end(t); got != "" || s.took < 7900*time.Millisecond {
			t.Errorf("slow header: read %q, after %v", got, s.took)
		}
	}
	for _, s := range bodies {
		if got := s.end(t); !strings.HasPrefix(got, "HTTP/1.1 408 ") || !strings.HasSuffix(got, `{"cmd":"INFO","data":"the body did not arrive in time"}`) || s.took < 9900*time.Millisecond {
			t.Errorf("slow body: read %q, after %v", got, s.took)
		}
	}
	eventually(t, "their connections are closed", func() bool { return files(t, pid) <= before+2 })
	w.unharmed(t)
}

// Slow senders that hold every connection are the end of none but theirs.
func TestSlowSendersOfAllConnectionsLeaveInTime(t *testing.T) {
	t.Parallel()
	const connections = 20
	// An honest request of a machine that is busy also has no more than this.
	w := startWitness(t, harness.Object{"http": harness.Object{"headerTimeout": 12_000, "maxConnections": connections}})
	var all []*trickle
	for range connections {
		all = append(all, startTrickle(t, w.Address(t, "http"), "GET /", 'x', pace))
	}
	var refused harness.Reply
	eventually(t, "they hold all connections", func() bool {
		refused = w.Get(t, "/ghost.send")
		return refused.Status == 503
	})
	refused.ExpectInfo(t, 503, "too many connections")
	for _, s := range all {
		s.end(t)
	}
	eventually(t, "there is room again", func() bool { return w.Get(t, "/ghost.send").Status == 200 })
	w.unharmed(t)
}

func TestSlowHandshakesAreCutOff(t *testing.T) {
	if testing.Short() {
		t.Skip("a handshake may take 10 s")
	}
	t.Parallel()
	w := startWitness(t, nil)
	pid := w.Channel(t, "websocket").PID
	before := files(t, pid)
	var all []*trickle
	for range 100 {
		all = append(all, startTrickle(t, w.Address(t, "websocket"), upgrade[:len(upgrade)-4]+"\r\nX-Slow: ", 'x', pace))
	}
	w.served(t)
	for _, s := range all {
		s.end(t)
	}
	eventually(t, "their connections are closed", func() bool { return files(t, pid) <= before })
	w.unharmed(t)
}

// vanished is a receiver that is attached and never reads nor writes again, as
// one whose network is gone: its socket is open on the server's side alone.
func (w *witness) vanished(t *testing.T, name, group string) {
	t.Helper()
	conn, err := bareSocket(w.Address(t, "websocket"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text(harness.AuthPacket(w.Token, name, group))); err != nil {
		t.Fatal(err)
	}
	if answer, err := readUntil(conn, "}}"); err != nil || !strings.Contains(answer, `"code":200`) {
		t.Fatalf("%q, %v", answer, err)
	}
}

// They cost a bounded amount of memory, delay nobody, and when they are back
// they get everything, in order.
func TestReceiversThatNeverReadDelayNobody(t *testing.T) {
	t.Parallel()
	// Each unanswered message is written again and again, while it can be.
	w := startWitness(t, harness.Object{"websocket": harness.Object{"retryTimeout": 500}})
	const receivers, messages = 20, 40
	for i := range receivers {
		w.vanished(t, fmt.Sprintf("gone%d", i), "home")
	}
	alive := w.Member(t, "alive", "home")
	pid := w.Channel(t, "websocket").PID
	before := memory(t, pid)
	padding := strings.Repeat("x", 100<<10)
	for i := range messages {
		body := message(fmt.Sprintf(`{"sendType":"group","target":"home","message":{"text":"%d","desp":"%s"}}`, i, padding))
		reply := w.Do(t, harness.Request{Method: "POST", Target: "/", Header: []string{"Content-Type: application/json", "Prefer: wait=0"}, Body: body})
		if reply.Status != 200 {
			t.Fatalf("message %d: %d %s", i, reply.Status, reply.Body)
		}
		// It may come twice, since it is resent so soon, and its ack is late.
		for {
			m := alive.NextMessage(t)
			alive.Ack(t, m.MID)
			if m.Text == fmt.Sprint(i) {
				break
			}
		}
	}
	w.served(t)
	if grown := memory(t, pid) - before; grown > 128<<20 {
		t.Errorf("the memory has grown by %d MiB", grown>>20)
	}
	// The network is back: another socket, while the server still has the first.
	for _, name := range []string{"gone0", "gone19"} {
		back := w.Member(t, name, "home")
		for i := range messages {
			for {
				m := back.NextMessage(t)
				back.Ack(t, m.MID)
				if m.Text == fmt.Sprint(i) {
					break
				}
				if m.Text != fmt.Sprint(i-1) {
					t.Fatalf("%s: message %s came before %d", name, m.Text, i)
				}
			}
		}
	}
	w.unharmed(t)
	// And the relay stops in time with the rest of them still connected.
}

// A sender that asks and asks and reads no answer holds its own connection only.
func TestSendersThatNeverReadDelayNobody(t *testing.T) {
	t.Parallel()
	w := startWitness(t, nil)
	var senders sync.WaitGroup
	for range 20 {
		conn, err := net.DialTimeout("tcp", w.Address(t, "http"), harness.Patience)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		senders.Go(func() {
			_ = conn.SetWriteDeadline(time.Now().Add(2 * time.Second))
			requests := strings.Repeat(asked("GET", "/ghost.send", nil, ""), 100)
			for {
				if _, err := io.WriteString(conn, requests); err != nil {
					return
				}
			}
		})
	}
	w.whileServed(t, func() error {
		senders.Wait()
		return nil
	})
	w.unharmed(t)
}
