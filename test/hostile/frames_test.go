package hostile

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"mpush/test/harness"
)

// socket is a websocket whose frames the test makes byte by byte. What comes is
// read as a proper client reads it.
type socket struct{ *websocket.Conn }

// open opens a websocket of nobody.
func (w *witness) open(t *testing.T) socket {
	t.Helper()
	dialer := websocket.Dialer{HandshakeTimeout: harness.Patience}
	conn, response, err := dialer.Dial("ws://"+w.Address(t, "websocket")+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	s := socket{conn}
	t.Cleanup(s.close)
	if err := s.SetReadDeadline(time.Now().Add(2 * harness.Patience)); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s socket) close() { _ = s.Conn.Close() }

// attach opens a websocket and authenticates as name.
func (w *witness) attach(t *testing.T, name string) socket {
	t.Helper()
	s := w.open(t)
	s.write(t, text(harness.AuthPacket(w.Token, name, "")))
	if answer := s.read(t); !strings.Contains(answer, `"code":200`) {
		t.Fatal(answer)
	}
	return s
}

func (s socket) write(t *testing.T, frames ...string) {
	t.Helper()
	if err := s.tryWrite(frames...); err != nil {
		t.Fatal(err)
	}
}

// tryWrite is write for what the server may cut off.
func (s socket) tryWrite(frames ...string) error {
	if err := s.NetConn().SetWriteDeadline(time.Now().Add(harness.Patience)); err != nil {
		return err
	}
	_, err := s.NetConn().Write([]byte(strings.Join(frames, "")))
	return err
}

func (s socket) read(t *testing.T) string {
	t.Helper()
	_, frame, err := s.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	return string(frame)
}

// end reads to the end of the socket and returns its close code, 1006 if there
// is none.
func (s socket) end(t *testing.T) (code int) {
	t.Helper()
	for {
		_, _, err := s.ReadMessage()
		if closed, ok := errors.AsType[*websocket.CloseError](err); ok {
			return closed.Code
		}
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			t.Fatal("the socket is still open")
		}
		if err != nil {
			return websocket.CloseAbnormalClosure
		}
	}
}

// The first byte of a frame.
const (
	fin          = 0x80
	continuation = 0x0
	textual      = 0x1
	binaryData   = 0x2
	closing      = 0x8
	ping         = 0x9
	pong         = 0xa
)

// frame is a client's frame, masked with zeros.
func frame(first byte, payload string) string {
	head := []byte{first}
	switch n := len(payload); {
	case n < 126:
		head = append(head, 0x80|byte(n))
	case n < 1<<16:
		head = binary.BigEndian.AppendUint16(append(head, 0x80|126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 0x80|127), uint64(n))
	}
	return string(append(head, 0, 0, 0, 0)) + payload
}

func text(packet string) string { return frame(fin|textual, packet) }

// fragmented is a text in fragments of n bytes, with something between them.
func fragmented(packet string, n int, between string) string {
	var frames strings.Builder
	first := byte(textual)
	for len(packet) > n {
		frames.WriteString(frame(first, packet[:n]) + between)
		packet, first = packet[n:], continuation
	}
	return frames.String() + frame(fin|first, packet)
}

const pinging = `{"cmd":"PING","data":"0123456789"}`

func TestOddFramesAreRead(t *testing.T) {
	t.Parallel()
	w := startWitness(t, nil)
	s := w.attach(t, "pc")
	for name, frames := range map[string]string{
		"binary":                      frame(fin|binaryData, pinging),
		"fragments of one byte":       fragmented(pinging, 1, ""),
		"pings between fragments":     fragmented(pinging, 1, frame(fin|ping, "x")),
		"pongs between fragments":     fragmented(pinging, 3, frame(fin|pong, strings.Repeat("x", 125))),
		"empty fragments":             frame(textual, "") + strings.Repeat(frame(continuation, ""), 100_000) + frame(fin|continuation, pinging),
		"a last fragment with naught": frame(textual, pinging) + frame(fin|continuation, ""),
		"binary fragments":            frame(binaryData, pinging[:5]) + frame(fin|continuation, pinging[5:]),
		"1 MiB of spaces":             text(strings.Repeat(" ", 1<<20) + pinging),
	} {
		s.write(t, frames)
		if got := s.read(t); got != `{"cmd":"PONG","data":""}` {
			t.Errorf("%s: got %.200s", name, got)
		}
	}
	for name, row := range map[string]refused{
		"binary garbage": {frame(fin|binaryData, "\x00\x01\x02\xff"), "not valid UTF-8"},
		"empty":          {text(""), "ends too early"},
		"empty, binary":  {frame(fin|binaryData, ""), "ends too early"},
		"UTF-8 cut in a fragment, and not mended": {frame(textual, "{\"cmd\":\"PING\",\"data\":\"\xc3") + frame(fin|continuation, `"}`), "not valid UTF-8"},
		"1 MiB of brackets":                       {text(strings.Repeat("[", 1<<20)), "nested deeper"},
		"1 MiB of quotes":                         {text(strings.Repeat(`"`, 1<<20)), "not JSON"},
		"1 MiB of keys":                           {text(`{` + strings.Repeat(`"a":1,`, 1<<17)), "ends too early"},
	} {
		s.write(t, row.packet)
		if got := s.read(t); !strings.HasPrefix(got, `{"cmd":"INFO"`) || !strings.Contains(got, row.info) {
			t.Errorf("%s: got %.200s", name, got)
		}
	}
	// A character that is cut between two fragments is whole again.
	s.write(t, frame(textual, "{\"cmd\":\"PING\",\"data\":\"\xc3"), frame(fin|continuation, "\xa9\"}"))
	if got := s.read(t); got != `{"cmd":"PONG","data":""}` {
		t.Errorf("got %s", got)
	}
	w.unharmed(t)
}

// faults are frames after which a socket can not go on, with the close code.
func faults() map[string]struct {
	frames string
	code   int
} {
	type fault = struct {
		frames string
		code   int
	}
	const protocol, tooBig = websocket.CloseProtocolError, websocket.CloseMessageTooBig
	large := strings.Repeat("x", tenMegabytes)
	all := map[string]fault{
		"not masked":                    {"\x81\x02{}", protocol},
		"reserved bit 1":                {frame(fin|0x40|textual, pinging), protocol},
		"reserved bit 2":                {frame(fin|0x20|textual, pinging), protocol},
		"reserved bit 3":                {frame(fin|0x10|textual, pinging), protocol},
		"opcode 3":                      {frame(fin|3, ""), protocol},
		"opcode 15":                     {frame(fin|15, ""), protocol},
		"a continuation of nothing":     {frame(fin|continuation, pinging), protocol},
		"a text within a text":          {frame(textual, "{") + text(pinging), protocol},
		"a ping in fragments":           {frame(ping, "x"), protocol},
		"a long ping":                   {frame(fin|ping, strings.Repeat("x", 126)), protocol},
		"a close of one byte":           {frame(fin|closing, "x"), websocket.CloseNoStatusReceived}, // taken for one of no code
		"a close of code 0":             {frame(fin|closing, "\x00\x00"), protocol},
		"a close of code 999":           {frame(fin|closing, "\x03\xe7"), protocol},
		"a close of code 1005":          {frame(fin|closing, "\x03\xed"), protocol},
		"a close with a reason of \xff": {frame(fin|closing, "\x03\xe8\xff"), protocol},
		"a request":                     {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", protocol},
		"10 MB":                         {text(large), tooBig},
		"10 MB in fragments":            {fragmented(large, 64<<10, ""), tooBig},
		"10 MB in small fragments":      {fragmented(large, 100, ""), tooBig},
		"2^63-1 bytes announced":        {"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", tooBig},
		"1 GiB announced":               {"\x81\xff\x00\x00\x00\x00\x40\x00\x00\x00\x00\x00\x00\x00", tooBig},
		"2^64-1 bytes announced":        {"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", tooBig},
	}
	return all
}

func TestFaultyFramesCloseTheirSocketAlone(t *testing.T) {
	t.Parallel()
	w := startWitness(t, nil)
	for name, fault := range faults() {
		for _, known := range []bool{false, true} {
			s := socket{}
			if known {
				s = w.attach(t, "pc")
			} else {
				s = w.open(t)
			}
			// The server may close while this is still being written.
			written := make(chan struct{})
			go func() {
				defer close(written)
				_ = s.tryWrite(fault.frames)
			}()
			if code := s.end(t); code != fault.code {
				t.Errorf("%s: closed with %d, want %d", name, code, fault.code)
			}
			s.close()
			<-written
		}
	}
	w.unharmed(t)
}

// Whatever the bytes mean, nothing else than this socket suffers. The seeds are
// fixed: what fails once fails again.
func TestGarbageOnASocket(t *testing.T) {
	t.Parallel()
	w := startWitness(t, nil)
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 0))
		s := w.attach(t, "pc")
		garbage := make([]byte, 1+random.IntN(8192))
		for i := range garbage {
			garbage[i] = byte(random.Uint32())
		}
		if seed%2 == 0 { // a proper frame with a good packet in it, somewhat changed
			copy(garbage, text(good)+text(pinging))
			garbage = garbage[:min(len(garbage), len(text(good)+text(pinging)))]
			garbage[random.IntN(2)] ^= 1 << random.IntN(8)
		}
		_ = s.tryWrite(string(garbage))
		_ = s.NetConn().(*net.TCPConn).CloseWrite()
		s.end(t)
		s.close()
	}
	w.served(t)
}

// A socket that has just lost its name to another must take nothing with it.
func TestFaultsOnAJustReplacedSocket(t *testing.T) {
	t.Parallel()
	w := startWitness(t, nil)
	older := w.attach(t, "pad")
	for name, fault := range faults() {
		if len(fault.frames) > 1<<20 {
			continue
		}
		reply := w.Begin(t, harness.Request{Target: "/pad.send?text=hello"})
		if got := older.read(t); !strings.Contains(got, `"hello"`) {
			t.Fatalf("%s: got %s", name, got)
		}
		// The fault arrives before, while or after the name goes over.
		written := make(chan struct{})
		go func() {
			defer close(written)
			_ = older.tryWrite(fault.frames)
		}()
		newer := w.Receiver(t, "pad")
		<-written
		newer.Take(t, "hello")
		reply().ExpectStatuses(t, map[string]string{"pad": "ok"})
		newer.ExpectNothing(t)
		older.end(t)
		older = w.attach(t, "pad")
		newer.ExpectEnd(t)
	}
	w.unharmed(t)
}
