package ops

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// The endpoint's patience with its clients. A profile may take as long as an
// answer.
const (
	headerPatience = 5 * time.Second
	readPatience   = 10 * time.Second
	writePatience  = 2 * time.Minute
	idlePatience   = time.Minute
	maxHeaderBytes = 16 << 10
)

// Endpoint serves a handler at an address that may change. The zero value of what
// is not exported listens nowhere. Its methods may be called from any goroutine.
type Endpoint struct {
	Handler http.Handler
	Log     *slog.Logger

	mu       sync.Mutex
	address  string // as it was asked for
	server   *http.Server
	listener net.Listener // the server's
	serving  sync.WaitGroup
}

// Listen moves the endpoint to an address; "" is nowhere. On an error it stays
// where it is. One that has ended by itself is opened again.
func (e *Endpoint) Listen(address string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if address == e.address && (e.server != nil || address == "") {
		return nil
	}
	if address == "" {
		e.stop()
		return nil
	}
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) && e.server != nil && portOf(address) == portOf(e.address) {
		// What is in the way may be this endpoint itself, at another host.
		before := e.address
		e.stop()
		if listener, err = net.Listen("tcp", address); err != nil {
			if again, failed := net.Listen("tcp", before); failed == nil {
				e.serve(before, again)
			}
		}
	}
	if err != nil {
		return err
	}
	e.stop()
	e.serve(address, listener)
	return nil
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// serve begins to answer. Call with mu held.
func (e *Endpoint) serve(address string, listener net.Listener) {
	server := &http.Server{
		Handler: e.Handler, ErrorLog: slog.NewLogLogger(e.Log.Handler(), slog.LevelDebug), MaxHeaderBytes: maxHeaderBytes,
		ReadHeaderTimeout: headerPatience, ReadTimeout: readPatience, WriteTimeout: writePatience, IdleTimeout: idlePatience,
	}
	e.address, e.server, e.listener = address, server, listener
	e.serving.Go(func() {
		err := server.Serve(listener)
		if errors.Is(err, http.ErrServerClosed) {
			return
		}
		e.Log.Error("health and metrics are not served any more", "err", err)
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.server == server { // it is nowhere now, so that the next Listen opens it again
			e.stop()
		}
	})
	at := listener.Addr().(*net.TCPAddr)
	e.Log.Info("health and metrics", "address", at.String())
	if !at.IP.IsLoopback() {
		e.Log.Warn("ops.listen: health and metrics ask for no token, whoever reaches the address can read them", "address", at.String())
	}
}

// stop ends what is served. Call with mu held.
func (e *Endpoint) stop() {
	if e.server != nil {
		_ = e.server.Close()   // nobody is kept waiting for who only looks
		_ = e.listener.Close() // a server that has not begun yet does not know it
	}
	e.address, e.server, e.listener = "", nil, nil
}

// Close ends the endpoint and waits for it.
func (e *Endpoint) Close() {
	e.mu.Lock()
	e.stop()
	e.mu.Unlock()
	e.serving.Wait()
}
