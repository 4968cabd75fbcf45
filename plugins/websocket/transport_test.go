package websocket

import (
	"bytes"
	"errors"
	"io"
	"net"
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
	sent := numbered(32 << 20)
	if n, err := out.Write(sent); n != len(sent) || err != nil {
		t.Fatalf("wrote %d, %v", n, err)
	}
	if !out.backlogged() {
		t.Fatal("the system took 32 MiB: the test shows nothing")
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

func TestClientThatDoesNotReadIsCutOff(t *testing.T) {
	out, client := pair(t)
	if _, err := out.Write(make([]byte, 32<<20)); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Write([]byte("x")); !errors.Is(err, errSlow) {
		t.Fatalf("more than the backlog was taken: %v", err)
	}
	if _, err := out.Write([]byte("x")); !errors.Is(err, errSlow) {
		t.Errorf("after that: %v", err)
	}
	if _, err := io.Copy(io.Discard, client); err != nil {
		t.Logf("the connection was reset: %v", err)
	}
	out.drained.Wait()
}

func TestBacklogIsBounded(t *testing.T) {
	server, client := net.Pipe() // has no buffer: everything waits
	defer client.Close()
	out := newTransport(server, newAttempts())
	total := 0
	for {
		n, err := out.Write(make([]byte, 1000))
		if err != nil {
			break
		}
		if total += n; total > maxBacklog+1000 {
			t.Fatalf("%d bytes were kept", total)
		}
	}
	out.Close()
	out.Close()
	if _, err := out.Write([]byte("x")); err == nil {
		t.Error("written after close")
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
