package websocket

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	// maxBacklog is how many bytes may wait for a slow client behind those that
	// are being written. One packet of any size may wait besides.
	maxBacklog = 256 << 10
	// drainChunk is written to a slow client within drainTime, or the client is
	// given up.
	drainChunk = 64 << 10
	drainTime  = 20 * time.Second
)

var errSlow = errors.New("the client reads too slowly")

// transport is a connection whose Write never blocks, so that whoever has
// something to say, be it the goroutine that reads for all sockets, says it at
// once and without waking another. What the system's buffer takes is written by
// the caller. Only what it does not take is kept, and written by a goroutine
// that lives while there is something kept. A client that lets more than
// maxBacklog gather is cut off; the core delivers again when it is back. So at
// most twice maxBacklog and a packet is kept: half is written, half waits.
type transport struct {
	net.Conn
	raw      syscall.RawConn
	attempts *sync.Pool // of *attempt
	tooBig   []byte     // written in the place of bareTooBig; nil: nothing is

	mu       sync.Mutex
	backlog  []byte // not yet given to the drain goroutine
	largest  int    // bytes of the largest packet in it
	packet   int    // bytes of the last packet in it
	joining  bool   // what is written belongs to the last packet
	draining bool   // drain runs: nobody else may write
	drained  sync.WaitGroup
	err      error // why nothing can be written any more
}

func newTransport(conn net.Conn, attempts *sync.Pool) *transport {
	t := &transport{Conn: conn, attempts: attempts}
	if c, ok := conn.(syscall.Conn); ok {
		t.raw, _ = c.SyscallConn()
	}
	return t
}

// bareTooBig is the close frame with which the library itself refuses a frame
// that is too large, without a word on why: FIN and opcode 8, two bytes, 1009.
var bareTooBig = []byte{0x88, 2, 1009 >> 8, 1009 & 0xff}

// tooBigFrame is the close frame that gives a reason of at most 123 bytes.
func tooBigFrame(reason string) []byte {
	return append([]byte{0x88, byte(2 + len(reason)), 1009 >> 8, 1009 & 0xff}, reason...)
}

// orReason is b, or the frame that gives the reason if b is the bare one.
func orReason(b, tooBig []byte) []byte {
	if tooBig != nil && bytes.Equal(b, bareTooBig) {
		return tooBig
	}
	return b
}

// Write writes or keeps all of b, or fails for good.
func (t *transport) Write(b []byte) (int, error) {
	n, err := t.write(orReason(b, t.tooBig))
	return min(n, len(b)), err
}

func (t *transport) write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return 0, t.err
	}
	rest := b
	if !t.draining {
		n, err := t.try(b)
		if err != nil {
			t.failLocked(err)
			return n, err
		}
		if rest = b[n:]; len(rest) == 0 {
			return len(b), nil
		}
		t.draining = true
		t.drained.Go(t.drain)
	}
	// What is being written is not counted: a client may be busy with a large
	// packet for minutes, and is told other things meanwhile.
	if !t.joining {
		t.packet = 0
	}
	t.packet += len(rest)
	t.largest = max(t.largest, t.packet)
	if len(t.backlog)+len(rest)-t.largest > maxBacklog {
		t.failLocked(errSlow)
		return 0, errSlow
	}
	t.backlog = append(t.backlog, rest...)
	return len(b), nil
}

// join begins a packet that is written in parts, or ends it.
func (t *transport) join(on bool) {
	t.mu.Lock()
	t.packet, t.joining = 0, on
	t.mu.Unlock()
}

// drain writes the backlog until there is none.
func (t *transport) drain() {
	for {
		t.mu.Lock()
		chunk := t.backlog
		t.backlog, t.largest, t.packet = nil, 0, 0
		if len(chunk) == 0 || t.err != nil {
			t.Conn.SetWriteDeadline(time.Time{})
			t.draining = false
			t.mu.Unlock()
			return
		}
		t.mu.Unlock()
		for len(chunk) > 0 {
			part := chunk[:min(len(chunk), drainChunk)]
			t.Conn.SetWriteDeadline(time.Now().Add(drainTime))
			n, err := t.Conn.Write(part)
			chunk = chunk[n:]
			if err != nil {
				t.mu.Lock()
				t.failLocked(err)
				t.mu.Unlock()
				break
			}
		}
	}
}

// failLocked ends the connection; its reader finds out.
func (t *transport) failLocked(err error) {
	if t.err == nil {
		t.err = err
		t.backlog = nil
		t.Conn.Close()
	}
}

// backlogged reports whether the client has not yet taken what was written.
func (t *transport) backlogged() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.draining
}

// Close closes the connection, at once, and gives up what was not written.
func (t *transport) Close() error {
	t.mu.Lock()
	t.failLocked(net.ErrClosed)
	t.mu.Unlock()
	t.drained.Wait()
	return nil
}

// SetDeadline sets the deadline of reads alone, since writes do not block.
func (t *transport) SetDeadline(at time.Time) error { return t.Conn.SetReadDeadline(at) }

// SetWriteDeadline does nothing, since writes do not block.
func (t *transport) SetWriteDeadline(time.Time) error { return nil }

// linger lets the client read what was written last, such as a close frame: a
// connection that is closed while unread bytes wait in it is reset, and what
// was written may be lost.
func (t *transport) linger() {
	half, ok := t.Conn.(interface{ CloseWrite() error })
	if !ok || t.backlogged() || half.CloseWrite() != nil {
		return
	}
	t.Conn.SetReadDeadline(time.Now().Add(lingerTime))
	buffer := make([]byte, 4<<10)
	for read := 0; read < maxLinger; {
		n, err := t.Conn.Read(buffer)
		if err != nil {
			return
		}
		read += n
	}
}

const (
	lingerTime = time.Second
	maxLinger  = 8 << 20 // bytes
)
