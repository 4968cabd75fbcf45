package hostile

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"mpush/test/harness"
)

// whileServed runs f and makes sure that others are served until it returns.
func (w *witness) whileServed(t *testing.T, f func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	for {
		w.served(t)
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
	}
}

func TestFloodOfBadPacketsIsAnsweredOneByOne(t *testing.T) {
	t.Parallel()
	w := startWitness(t, nil)
	s := w.attach(t, "pc")
	const packets, block = 20_000, 100
	w.whileServed(t, func() error {
		written := make(chan error, 1)
		go func() {
			var frames strings.Builder
			for i := range block {
				frames.WriteString(text(strings.Repeat(" ", i) + "x"))
			}
			var err error
			for i := 0; i < packets && err == nil; i += block {
				err = s.tryWrite(frames.String())
			}
			written <- err
		}()
		for i := range packets {
			_, answer, err := s.ReadMessage()
			if err != nil {
				return err
			}
			if want := fmt.Sprintf(`{"cmd":"INFO","data":"not JSON: unexpected 'x' at byte %d"}`, i%block+1); string(answer) != want {
				return fmt.Errorf("answer %d is %s, want %s", i, answer, want)
			}
		}
		return <-written
	})
	w.unharmed(t)
}

// Who takes no answers gets no more of them: the socket is cut off, and what was
// kept for it is freed.
func TestFloodByOneWhoNeverReadsIsCutOff(t *testing.T) {
	t.Parallel()
	w := startWitness(t, nil)
	pid := w.Channel(t, "websocket").PID
	filesBefore, memoryBefore := files(t, pid), memory(t, pid)
	w.whileServed(t, func() error {
		for round := range 3 {
			for what, frame := range map[string]string{
				"packets that are answered": text(pinging), "bad packets": text("{"), "pings": frame(fin|ping, strings.Repeat("x", 125)),
			} {
				if err := w.floodUntilCutOff(t, strings.Repeat(frame, 2000)); err != nil {
					return fmt.Errorf("%s, round %d: %w", what, round, err)
				}
			}
		}
		return nil
	})
	eventually(t, "the cut off sockets are closed", func() bool { return files(t, pid) <= filesBefore })
	if grown := memory(t, pid) - memoryBefore; grown > 64<<20 {
		t.Errorf("the memory has grown by %d MiB", grown>>20)
	}
	w.unharmed(t)
}

// floodUntilCutOff writes on a socket of its own until that fails. No test that
// the server passes writes for long: a few megabytes of answers fit between two
// processes.
func (w *witness) floodUntilCutOff(t *testing.T, frames string) error {
	conn, err := bareSocket(w.Address(t, "websocket"))
	if err != nil {
		return err
	}
	t.Cleanup(func() { _ = conn.Close() })
	for {
		// Slow is not stuck: each write has its own time.
		if err := conn.SetWriteDeadline(time.Now().Add(harness.Patience)); err != nil {
			return err
		}
		// Also a write that is stuck is an end: two kernels that have no room for
		// each other's segments drop the acknowledgements too. Then the server
		// gives the client up in its own time, and that its socket is gone is
		// what shows it.
		if _, err := io.WriteString(conn, frames); err != nil {
			return nil
		}
	}
}

// bareSocket opens a websocket over a connection that has little room for what
// nobody reads, and costs the test next to nothing. Its deadline is set.
func bareSocket(address string) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", address, harness.Patience)
	if err != nil {
		return nil, err
	}
	if err = openSocket(conn); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

func openSocket(conn net.Conn) error {
	if err := conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Now().Add(harness.Patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, upgrade); err != nil {
		return err
	}
	answer, err := readUntil(conn, "\r\n\r\n")
	if err == nil && !strings.HasPrefix(answer, "HTTP/1.1 101 ") {
		err = fmt.Errorf("answered with %q", answer)
	}
	return err
}

// readUntil reads until what came ends with these bytes.
func readUntil(conn net.Conn, end string) (string, error) {
	var read []byte
	for !strings.HasSuffix(string(read), end) {
		var one [1]byte
		if _, err := conn.Read(one[:]); err != nil {
			return string(read), err
		}
		read = append(read, one[0])
	}
	return string(read), nil
}

const upgrade = "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"

func TestFloodOfWhatIsIgnored(t *testing.T) {
	t.Parallel()
	w := startWitness(t, nil)
	s := w.attach(t, "pc")
	// Acks of what was never sent have no answer, nor do pongs.
	ignored := strings.Repeat(text(callback(`{"mid":"1"}`))+text(callback(`{"mid":9223372036854775807}`))+frame(fin|pong, "x"), 500)
	w.whileServed(t, func() error {
		for range 20 {
			if err := s.tryWrite(ignored); err != nil {
				return err
			}
		}
		if err := s.tryWrite(text(pinging)); err != nil {
			return err
		}
		_, answer, err := s.ReadMessage()
		if err == nil && string(answer) != `{"cmd":"PONG","data":""}` {
			err = fmt.Errorf("got %s", answer)
		}
		return err
	})
	w.unharmed(t)
}

// Each is answered, be it by a refusal.
func TestFloodOfRequestsOnOneSocket(t *testing.T) {
	t.Parallel()
	w := startWitness(t, nil)
	s := w.attach(t, "pc")
	wrong := auth(`{"token":"wrong","name":"pc"}`)
	ghost := message(`{"sendType":"personal","target":"ghost","message":{}}`)
	const rounds = 1000
	w.whileServed(t, func() error {
		written := make(chan error, 1)
		go func() {
			var err error
			for i := 0; i < rounds && err == nil; i++ {
				err = s.tryWrite(text(wrong), text(ghost), text(`{"cmd":"NOBODYS"}`))
			}
			written <- err
		}()
		counts := map[string]int{}
		for range 3 * rounds {
			_, answer, err := s.ReadMessage()
			if err != nil {
				return fmt.Errorf("%w after %v", err, counts)
			}
			counts[string(answer)]++
		}
		const (
			invalid = `{"cmd":"AUTH","data":{"code":403,"msg":"Token invalid"}}`
			nobody  = `{"cmd":"MESSAGE_REPLY","data":{"status":{"ghost":"no"},"ghost":"no"}}`
			unknown = `{"cmd":"INFO","data":"unknown cmd \"NOBODYS\""}`
			tooMuch = `{"cmd":"INFO","data":"too much at once: at most 32 requests may await their answer"}`
		)
		if counts[invalid] != rounds || counts[nobody]+counts[unknown]+counts[tooMuch] != 2*rounds {
			return fmt.Errorf("answers %v", counts)
		}
		return <-written
	})
	w.unharmed(t)
}

func TestFloodOfBadRequestsOnOneConnection(t *testing.T) {
	t.Parallel()
	w := startWitness(t, nil)
	conn, err := net.DialTimeout("tcp", w.Address(t, "http"), harness.Patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * harness.Patience)); err != nil {
		t.Fatal(err)
	}
	const rounds = 1000
	block := asked("GET", "/nobody", nil, "") + posted(asJSON, "{") + asked("GET", "/victim%00.send", nil, "") + asked("PUT", "/victim.send", nil, "")
	w.whileServed(t, func() error {
		written := make(chan error, 1)
		go func() {
			var err error
			for i := 0; i < rounds && err == nil; i++ {
				_, err = io.WriteString(conn, block)
			}
			written <- err
		}()
		reader := bufio.NewReader(conn)
		for i := range rounds * 4 {
			response, err := http.ReadResponse(reader, nil)
			if err != nil {
				return err
			}
			if _, err := io.Copy(io.Discard, response.Body); err != nil {
				return err
			}
			if want := []int{404, 400, 400, 405}[i%4]; response.StatusCode != want {
				return fmt.Errorf("answer %d has status %d, want %d", i, response.StatusCode, want)
			}
		}
		return <-written
	})
	w.unharmed(t)
}
