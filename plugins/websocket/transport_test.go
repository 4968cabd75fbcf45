package websocket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"mpush/sdk/plugintest"
)

// pair is a transport over loopback and the client at its other end.
func pair(t *testing.T) (*transport, *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	out := newTransport(server, newAttempts())
	t.Cleanup(func() { client.Close(); out.Close() })
	client.SetDeadline(time.Now().Add(plugintest.Patience))
	return out, client.(*net.TCPConn)
}

func numbered(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i / 251)
	}
	return b
}

func TestWritesToAClientThatReadsAreMadeAtOnce(t *testing.T) {
	out, client := pair(t)
	for range 100 {
		if n, err := out.Write([]byte("hello")); n != 5 || err != nil || out.backlogged() {
			t.Fatalf("wrote %d, %v, backlogged %v", n, err, out.backlogged())
		}
		got := make([]byte, 5)
		if _, err := io.ReadFull(client, got); err != nil || string(got) != "hello" {
			t.Fatalf("read %q, %v", got, err)
		}
	}
}

// However much it is, one write is taken whole and blocks nobody; what follows
// keeps its place.
func TestWritesToASlowClientDoNotBlockAndKeepTheirOrder(t *testing.T) {
	out, client := pair(t)
	sent := numbered(16 << 20)
	if n, err := out.Write(sent); n != len(sent) || err != nil {
		t.Fatalf("wrote %d, %v", n, err)
	}
	if !out.backlogged() {
		t.Fatal("the system took 16 MiB: the test shows nothing")
	}
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("read something else, %v", err)
	}
	for range 1000 {
		if _, err := out.Write([]byte("tail.")); err != nil {
			t.Fatal(err)
		}
	}
	rest := make([]byte, 5000)
	if _, err := io.ReadFull(client, rest); err != nil || !bytes.Equal(rest, bytes.Repeat([]byte("tail."), 1000)) {
		t.Fatalf("read something else, %v", err)
	}
	out.drained.Wait()
	if out.backlogged() {
		t.Error("still backlogged")
	}
}

// piped is a transport over a pipe, which has no buffer: everything waits.
func piped(t *testing.T) (*transport, net.Conn) {
	t.Helper()
	server, client := net.Pipe()
	out := newTransport(server, newAttempts())
	t.Cleanup(func() { client.Close(); out.Close() })
	client.SetDeadline(time.Now().Add(plugintest.Patience))
	return out, client
}

// awaitTaken waits until the drain goroutine has all that was written.
func (t *transport) awaitTaken(tb testing.TB) {
	tb.Helper()
	for deadline := time.Now().Add(plugintest.Patience); ; runtime.Gosched() {
		t.mu.Lock()
		left := len(t.backlog)
		t.mu.Unlock()
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("%d bytes are left", left)
		}
	}
}

// A client on a slow link that takes a large packet is told other things
// meanwhile, such as pongs, and may get another large one.
func TestSmallPacketsWaitBehindLargeOnes(t *testing.T) {
	for _, taken := range []bool{false, true} {
		out, client := piped(t)
		large, small := numbered(1<<20), []byte("ten bytes.")
		packets := [][]byte{large, small}
		if taken {
			packets = append(packets, large, small, small)
		}
		for i, packet := range packets {
			if n, err := out.Write(packet); n != len(packet) || err != nil {
				t.Fatalf("taken %v, packet %d: wrote %d, %v", taken, i, n, err)
			}
			if taken && i == 0 {
				out.awaitTaken(t)
			}
		}
		sent := bytes.Join(packets, nil)
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("taken %v: read something else, %v", taken, err)
		}
	}
}

// writeUntilCut writes small packets until the client is given up for it, and
// returns how many bytes were taken.
func writeUntilCut(t *testing.T, out *transport) (total int) {
	t.Helper()
	for packet := make([]byte, 1000); ; total += len(packet) {
		if _, err := out.Write(packet); err != nil {
			if !errors.Is(err, errSlow) {
				t.Fatal(err)
			}
			return total
		}
		// Some may have gone with what is being written.
		if total > 2*(maxBacklog+len(packet)) {
			t.Fatalf("%d bytes were taken", total)
		}
	}
}

func TestClientThatDoesNotReadIsCutOff(t *testing.T) {
	out, client := pair(t)
	if _, err := out.Write(make([]byte, 32<<20)); err != nil {
		t.Fatal(err)
	}
	writeUntilCut(t, out)
	if _, err := out.Write([]byte("x")); !errors.Is(err, errSlow) {
		t.Errorf("after that: %v", err)
	}
	if _, err := io.Copy(io.Discard, client); err != nil {
		t.Logf("the connection was reset: %v", err)
	}
	out.drained.Wait()
}

func TestBacklogIsBounded(t *testing.T) {
	out, _ := piped(t)
	if total := writeUntilCut(t, out); total < maxBacklog {
		t.Errorf("cut off after %d bytes", total)
	}
	out.Close()
	out.Close()
	if _, err := out.Write([]byte("x")); err == nil {
		t.Error("written after close")
	}
}

// One packet that waits may be of any size, two may not.
func TestLargePacketsDoNotGather(t *testing.T) {
	out, _ := piped(t)
	large := make([]byte, 1<<20)
	if _, err := out.Write(large); err != nil {
		t.Fatal(err)
	}
	out.awaitTaken(t)
	if _, err := out.Write(large); err != nil {
		t.Errorf("behind the one that is being written none may wait: %v", err)
	}
	if _, err := out.Write(large); !errors.Is(err, errSlow) {
		t.Errorf("a third one is taken: %v", err)
	}
}

func TestPacketsInPartsAreBoundedAsOthersAre(t *testing.T) {
	out, _ := piped(t)
	var err error
	packets := 0
	for ; err == nil && packets <= 2*(maxBacklog/1000+1); packets++ {
		out.join(true)
		for range 10 {
			if err == nil {
				_, err = out.Write(make([]byte, 100))
			}
		}
		out.join(false)
	}
	if !errors.Is(err, errSlow) {
		t.Errorf("%d packets were taken, %v", packets, err)
	}
}

func TestWriteAfterTheClientHasGoneFails(t *testing.T) {
	out, client := pair(t)
	client.SetLinger(0)
	client.Close()
	for deadline := time.Now().Add(plugintest.Patience); ; {
		if _, err := out.Write([]byte("x")); err != nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("writes go on")
		}
	}
}
