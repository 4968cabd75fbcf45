package control

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"mpush/core/engine"
	"mpush/core/message"
	"mpush/core/record"
)

// Store is what the API reads by itself.
type Store interface {
	Dead(ctx context.Context, receiver string, below message.MID, n int) ([]record.Queued, error)
	Audit(ctx context.Context) ([]record.Account, error)
	Backup(ctx context.Context, path string) error
	Next(ctx context.Context, receiver string, after record.Seq, n, maxBytes int) (items []record.Queued, more bool, err error)
	Away(ctx context.Context, before int64, after string, n int) (names []string, err error)
}

// Desk asks the engine.
type Desk interface {
	Ask(ctx context.Context, make func(engine.LinkID, engine.RequestID) engine.Event) (engine.AnswerBody, error)
}

// Server answers the API. Its Handler may be called from any goroutine.
type Server struct {
	Store    Store
	Desk     Desk
	Channels func() []Channel // without what the engine knows of them
	// Lend makes a token by which somebody may log in as a receiver for a while.
	Lend func(name, group string) (string, error)
	// Counts returns how many messages were accepted and acknowledged since the
	// start, counted by their receivers.
	Counts func() (accepted, acked uint64)
	// Forgotten is told of a receiver that is about to be forgotten.
	Forgotten func(receiver string)
	Version   string
	Log       *slog.Logger

	rates    rates
	patience time.Duration // a test's; 0 is Patience
}

// maxSocketPath is below what socket addresses can hold, about 108 bytes.
const maxSocketPath = 100

// socketName is that of a socket in its data directory.
const socketName = "control.sock"

// SocketPath is where the socket of a data directory is: in it, or, if its path
// is too long for a socket, among the temporary files under a name made of it.
func SocketPath(dataDir string) (string, error) {
	absolute, err := filepath.Abs(dataDir)
	if err != nil {
		return "", err
	}
	path := filepath.Join(absolute, socketName)
	if len(path) > maxSocketPath {
		sum := sha256.Sum256([]byte(absolute))
		path = filepath.Join(os.TempDir(), fmt.Sprintf("mpush-control-%d-%x.sock", os.Getuid(), sum[:6]))
	}
	return path, nil
}

// Listen opens the socket. The caller holds the lock of the data directory: a
// socket that is there is one that was left behind.
func Listen(dataDir string) (net.Listener, error) {
	path, err := SocketPath(dataDir)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return listener, nil
}

// Patience is how long the requests that are under way when Serve is to end have
// for their answers.
const Patience = time.Second

// Serve answers until ctx ends, and then those who have asked by then. What reads
// for long, a backup above all, ends with ctx.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	requests, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	server := &http.Server{
		Handler:           s.handler(ctx),
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		patience, cancel := context.WithTimeout(requests, cmp.Or(s.patience, Patience))
		defer cancel()
		if server.Shutdown(patience) != nil {
			_ = server.Close()
		}
	})
	var sampling sync.WaitGroup
	sampling.Go(func() { s.sample(ctx) })
	defer sampling.Wait()
	err := server.Serve(listener)
	if !stop() {
		<-ended
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

// Handler is the API.
func (s *Server) Handler() http.Handler { return s.handler(context.Background()) }

// handler is the API, whose long reads end with a context.
func (s *Server) handler(reading context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", serve(s.status))
	mux.HandleFunc("GET /v1/channels", serve(s.channels))
	mux.HandleFunc("POST /v1/messages", serve(s.send))
	mux.HandleFunc("GET /v1/messages/{mid}", serve(s.trace))
	mux.HandleFunc("GET /v1/receivers", serve(s.receivers))
	mux.HandleFunc("GET /v1/receivers/{name}", serve(s.receiver))
	mux.HandleFunc("DELETE /v1/receivers/{name}", serve(s.forget))
	mux.HandleFunc("GET /v1/dead", serve(until(reading, s.dead)))
	mux.HandleFunc("POST /v1/dead/replay", serve(s.replay))
	mux.HandleFunc("POST /v1/dead/drop", serve(s.drop))
	mux.HandleFunc("GET /v1/audit", serve(until(reading, s.audit)))
	mux.HandleFunc("POST /v1/backup", serve(until(reading, s.backup)))
	mux.HandleFunc("POST /v1/lend", serve(s.lend))
	mux.HandleFunc("/", serve(func(r *http.Request) (any, error) {
		return nil, &Error{http.StatusNotFound, "there is no " + r.Method + " " + r.URL.Path + " in this version of mpush"}
	}))
	return mux
}

// Error is an answer that is none.
type Error struct {
	Status  int    // HTTP
	Message string // for the operator
}

func (e *Error) Error() string { return e.Message }

func badRequest(format string, args ...any) error {
	return &Error{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// serve makes a handler of what answers with a value for JSON or an error.
func serve(answer func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusOK
		body, err := answer(r)
		if err != nil {
			status = statusOf(err)
			body = struct {
				Error string `json:"error"`
			}{err.Error()}
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		if page, ok := body.(streamed); ok {
			_ = page.write(w) // else the client has left
			return
		}
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		_ = encoder.Encode(body)
	}
}

// streamed is a body that writes itself as JSON, in parts.
type streamed interface{ write(io.Writer) error }

// marshal is json.Marshal that leaves < > & as they are.
func marshal(v any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), err
}

// until has an answer end with a context, too, and when the client leaves.
func until(ctx context.Context, answer func(*http.Request) (any, error)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		if r.Method == http.MethodGet {
			// That the client leaves is noticed only once its request was read whole.
			_, _ = io.CopyN(io.Discard, r.Body, maxRequest)
		}
		both, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		body, err := answer(r.WithContext(both))
		if err != nil && ctx.Err() != nil {
			return nil, &Error{http.StatusServiceUnavailable, "the relay is stopping: " + err.Error()}
		}
		return body, err
	}
}

func statusOf(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status
	}
	if refusal, ok := errors.AsType[*engine.Refusal](err); ok {
		switch refusal.Code {
		case engine.NotFound:
			return http.StatusNotFound
		case engine.Invalid, engine.TooLarge:
			return http.StatusBadRequest
		case engine.Limit:
			return http.StatusTooManyRequests
		}
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// maxRequest bounds a request's body, in bytes.
const maxRequest = 64 << 10

func read(r *http.Request, into any) error { return readUpTo(r, maxRequest, into) }

func readUpTo(r *http.Request, maxBytes int64, into any) error {
	body := &io.LimitedReader{R: r.Body, N: maxBytes + 1}
	decoder := json.NewDecoder(body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		if body.N <= 0 {
			_, _ = io.CopyN(io.Discard, r.Body, maxBytes) // who still sends does not listen
			return &Error{http.StatusRequestEntityTooLarge, fmt.Sprintf("the request has more than %d bytes", maxBytes)}
		}
		return badRequest("the request is not as expected: %v", err)
	}
	_, _ = io.Copy(io.Discard, body) // to its end, as until does
	return nil
}

func (s *Server) replay(r *http.Request) (any, error) {
	return s.letter(r, func(link engine.LinkID, request engine.RequestID, l Letter) engine.Event {
		return &engine.Replay{Link: link, Request: request, Receiver: l.Receiver, MID: message.MID(l.MID)}
	})
}

func (s *Server) drop(r *http.Request) (any, error) {
	return s.letter(r, func(link engine.LinkID, request engine.RequestID, l Letter) engine.Event {
		return &engine.DropDead{Link: link, Request: request, Receiver: l.Receiver, MID: message.MID(l.MID)}
	})
}

func (s *Server) letter(r *http.Request, event func(engine.LinkID, engine.RequestID, Letter) engine.Event) (any, error) {
	var l Letter
	if err := read(r, &l); err != nil {
		return nil, err
	}
	if l.MID <= 0 || l.Receiver == "" {
		return nil, badRequest("mid and receiver are needed")
	}
	_, err := s.Desk.Ask(r.Context(), func(link engine.LinkID, request engine.RequestID) engine.Event {
		return event(link, request, l)
	})
	return struct{}{}, err
}

func (s *Server) audit(r *http.Request) (any, error) {
	accounts, err := s.Store.Audit(r.Context())
	if err != nil {
		return nil, err
	}
	audit := Audit{Balanced: true, Accounts: []Account{}}
	for i := range accounts {
		a := accountOf(&accounts[i])
		audit.Balanced = audit.Balanced && a.Balanced
		audit.Total.Accepted += a.Accepted
		audit.Total.Acked += a.Acked
		audit.Total.HandedOff += a.HandedOff
		audit.Total.Dead += a.Dead
		audit.Total.Pending += a.Pending
		audit.Accounts = append(audit.Accounts, a)
	}
	audit.Total.Balanced = audit.Balanced
	return audit, nil
}

func (s *Server) backup(r *http.Request) (any, error) {
	var request struct {
		Path string `json:"path"`
	}
	if err := read(r, &request); err != nil {
		return nil, err
	}
	if !filepath.IsAbs(request.Path) {
		return nil, badRequest("path: expected an absolute one")
	}
	switch err := s.Store.Backup(r.Context(), request.Path); {
	case errors.Is(err, fs.ErrExist):
		return nil, &Error{http.StatusConflict, request.Path + " is there already, or is being written: choose another name, or remove it"}
	case err != nil:
		return nil, err
	}
	info, err := os.Stat(request.Path)
	if err != nil {
		return nil, err
	}
	return Backup{Path: request.Path, Bytes: info.Size()}, nil
}
