package listen_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mpush/sdk/listen"
)

// exhausted is a listener without free descriptors, until it is closed.
type exhausted struct{ closed chan struct{} }

func (l exhausted) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	default:
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
}
func (l exhausted) Close() error   { close(l.closed); return nil }
func (l exhausted) Addr() net.Addr { return &net.TCPAddr{} }

func TestFaultsOfTheServerAreLoggedNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		before := slog.Default()
		slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
		defer slog.SetDefault(before)
		server := &http.Server{ErrorLog: listen.ErrorLog()}
		served := make(chan error)
		go func() { served <- server.Serve(exhausted{make(chan struct{})}) }()
		time.Sleep(25 * time.Second) // virtual
		server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		server.ErrorLog.Print("http: TLS handshake error from 192.0.2.1:5: EOF")
		server.ErrorLog.Print("http: panic serving 192.0.2.1:5: a mistake")
		got := log.String()
		if strings.Count(got, "too many open files") != 3 || strings.Count(got, "a mistake") != 1 || strings.Contains(got, "handshake") {
			t.Errorf("the log is\n%s", got)
		}
	})
}
