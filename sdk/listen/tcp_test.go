package listen_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mpush/sdk/listen"
	"mpush/sdk/plugintest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listener listens on loopback and passes on what Accept returns.
func listener(t *testing.T, o listen.Options) (address string, accepted <-chan net.Conn) {
	t.Helper()
	o.Host = listen.Loopback
	l, err := listen.TCP(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan net.Conn)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			conns <- conn
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String(), conns
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(plugintest.Patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestConnectionsBeyondTheLimitAreToldSo(t *testing.T) {
	address, accepted := listener(t, listen.Options{MaxConnections: 2, Refusal: listen.TooManyHTTP("x.maxConnections")})
	dial(t, address)
	dial(t, address)
	first, second := <-accepted, <-accepted
	defer second.Close()

	response, err := http.ReadResponse(bufio.NewReader(dial(t, address)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != 503 || string(body) != `{"cmd":"INFO","data":"x.maxConnections: too many connections"}` || !response.Close {
		t.Errorf("got %d %s, %v", response.StatusCode, body, err)
	}

	// Closing makes room for one, however often it is done.
	first.Close()
	first.Close()
	dial(t, address)
	third := <-accepted
	defer third.Close()
	if rest, err := io.ReadAll(dial(t, address)); err != nil || len(rest) == 0 {
		t.Errorf("beyond the limit again: read %q, %v", rest, err)
	}
}

func TestRefusalMayBeSilent(t *testing.T) {
	address, accepted := listener(t, listen.Options{MaxConnections: 1})
	dial(t, address)
	defer (<-accepted).Close()
	if rest, err := io.ReadAll(dial(t, address)); err != nil || len(rest) != 0 {
		t.Errorf("read %q, %v", rest, err)
	}
}

// net/http asks for the first, so that an answer before the end of a request is
// not lost; who writes without waiting asks for the second.
func TestConnectionsHaveTheMethodsOfTCP(t *testing.T) {
	address, accepted := listener(t, listen.Options{MaxConnections: 1})
	client := dial(t, address)
	conn := <-accepted
	defer conn.Close()
	if _, ok := conn.(syscall.Conn); !ok {
		t.Error("no SyscallConn")
	}
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		t.Fatal("the sending half can not be closed")
	}
	if _, err := io.ReadAll(client); err != nil {
		t.Errorf("read: %v", err)
	}
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 1 {
		t.Errorf("the other half is closed, too: %v", err)
	}
}

func TestAddressInUseIsAnErrorOfListening(t *testing.T) {
	address, _ := listener(t, listen.Options{MaxConnections: 1})
	taken, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_, err = listen.TCP(t.Context(), listen.Options{Host: listen.Loopback, Port: taken.Port, MaxConnections: 1})
	if op, ok := errors.AsType[*net.OpError](err); !ok || op.Op != "listen" || !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got %v", err)
	}
}
