package fakepush

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Patience is how long a test waits for a push.
const Patience = 30 * time.Second

const (
	// maxPushes bounds the pushes that the test has not asked for yet.
	maxPushes = 1 << 14
	// defaultMaxBody is what push services must take (RFC 8030, section 7.2).
	defaultMaxBody = 4096
)

// Options say what kind of service it is.
type Options struct {
	// TLS serves https with the certificate of httptest (see Server.Client).
	TLS bool
	// MaxBody is the size in bytes beyond which a body is answered 413; 0 stands
	// for 4096.
	MaxBody int
	// Answer decides what each push is answered, instead of Script and Always.
	// Next and Seen do not return the pushes then. It is called from many
	// goroutines.
	Answer func(*Push) Answer
}

// Push is one request that kept to the protocol, in the order of arrival.
type Push struct {
	Subscription *Subscription
	Payload      []byte // decrypted; nil with status 413
	BodyBytes    int    // as sent
	TTL          time.Duration
	Urgency      string // "" for none
	Topic        string // "" for none
	Claims       Claims
	// Status is what it was, or is about to be, answered; 0 for a reset.
	Status int
	// Remote is the client's address and port: equal for one connection.
	Remote string
}

// Server is the push service. Its methods may be called from any goroutine.
type Server struct {
	t       testing.TB
	http    *httptest.Server
	maxBody int
	answer  func(*Push) Answer // nil: the scripts'
	pushes  chan *Push
	closing chan struct{}

	mu            sync.Mutex
	subscriptions map[string]*Subscription // by path
	script        script
	closed        bool
}

// New starts a service, which ends with the test.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	if o.MaxBody == 0 {
		o.MaxBody = defaultMaxBody
	}
	s := &Server{
		t: t, maxBody: o.MaxBody, answer: o.Answer, pushes: make(chan *Push, maxPushes), closing: make(chan struct{}),
		subscriptions: make(map[string]*Subscription),
	}
	s.http = httptest.NewUnstartedServer(s)
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0) // clients give up as they like
	if o.TLS {
		s.http.EnableHTTP2 = true
		s.http.StartTLS()
	} else {
		s.http.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// Close lets what hangs go and ends the service. The test's end does the same.
func (s *Server) Close() {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	if first {
		close(s.closing)
		s.http.CloseClientConnections()
		s.http.Close()
	}
}

// Origin is the service's, such as "http://127.0.0.1:1234".
func (s *Server) Origin() string { return s.http.URL }

// Client returns a client that trusts the service's certificate.
func (s *Server) Client() *http.Client { return s.http.Client() }

// Next waits for the next push, whatever it was answered. The test fails if
// there is none within Patience.
func (s *Server) Next() *Push {
	s.t.Helper()
	return s.NextWithin(Patience)
}

// NextWithin is Next with the test's own patience.
func (s *Server) NextWithin(patience time.Duration) *Push {
	s.t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case p := <-s.pushes:
		return p
	case <-timer.C:
		s.t.Fatalf("fakepush: no push within %v", patience)
		return nil
	}
}

// Seen returns, without waiting, the pushes that Next has not returned.
func (s *Server) Seen() []*Push {
	var seen []*Push
	for {
		select {
		case p := <-s.pushes:
			seen = append(seen, p)
		default:
			return seen
		}
	}
}

// ServeHTTP takes a push.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	push, refused := s.take(r)
	if refused != nil {
		s.mu.Lock()
		late := s.closed || refused.gone
		s.mu.Unlock()
		if !late {
			s.t.Errorf("fakepush: %s %s: %v", r.Method, r.URL.Path, refused.err)
		}
		http.Error(w, refused.err.Error(), refused.status)
		return
	}
	a := Answer{Status: http.StatusRequestEntityTooLarge}
	switch {
	case push.Payload != nil && s.answer != nil:
		if a = s.answer(push); a.Status == 0 {
			a.Status = http.StatusCreated
		}
	case push.Payload != nil:
		a = s.answerFor(push.Subscription)
	}
	if push.Status = a.Status; a.Reset {
		push.Status = 0
	}
	if s.answer == nil {
		s.keep(push)
	}
	a.give(w, r, s.closing)
}

// keep puts a push where Next finds it.
func (s *Server) keep(push *Push) {
	select {
	case s.pushes <- push:
	default:
		s.t.Errorf("fakepush: more than %d pushes that nobody asked for", maxPushes)
	}
}

// refusal is the answer to a request that breaks the protocol.
type refusal struct {
	status int
	err    error
	gone   bool // the client, in the middle of its request
}

// take checks a request and reads it.
func (s *Server) take(r *http.Request) (*Push, *refusal) {
	s.mu.Lock()
	subscription := s.subscriptions[r.URL.Path]
	s.mu.Unlock()
	switch {
	case subscription == nil:
		return nil, &refusal{status: http.StatusNotFound, err: errors.New("no such subscription")}
	case r.Method != http.MethodPost:
		return nil, &refusal{status: http.StatusMethodNotAllowed, err: errors.New("a push is a POST")}
	}
	p := &Push{Subscription: subscription, Urgency: r.Header.Get("Urgency"), Topic: r.Header.Get("Topic"), Remote: r.RemoteAddr}
	if err := p.readHeader(r.Header); err != nil {
		return nil, &refusal{status: http.StatusBadRequest, err: err}
	}
	claims, err := checkVAPID(r.Header.Values("Authorization"), s.Origin(), subscription.serverKey, time.Now())
	if err != nil {
		return nil, &refusal{status: http.StatusForbidden, err: err}
	}
	p.Claims = claims
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return nil, &refusal{status: http.StatusBadRequest, err: fmt.Errorf("read the body: %w", err), gone: true}
	}
	if p.BodyBytes = len(body); p.BodyBytes > s.maxBody {
		return p, nil
	}
	if p.Payload, err = decrypt(body, subscription.key, subscription.auth); err != nil {
		return nil, &refusal{status: http.StatusBadRequest, err: err}
	}
	return p, nil
}

// readHeader checks the fields of RFC 8030, section 5.
func (p *Push) readHeader(h http.Header) error {
	ttl, err := strconv.ParseUint(h.Get("TTL"), 10, 31)
	if err != nil {
		return fmt.Errorf("ttl %q: expected seconds", h.Get("TTL"))
	}
	p.TTL = time.Duration(ttl) * time.Second
	if !slices.Contains([]string{"", "very-low", "low", "normal", "high"}, p.Urgency) {
		return fmt.Errorf("urgency %q", p.Urgency)
	}
	if len(p.Topic) > 32 || strings.Trim(p.Topic, base64url) != "" {
		return fmt.Errorf("topic %q", p.Topic)
	}
	if encoding := h.Get("Content-Encoding"); encoding != "aes128gcm" {
		return fmt.Errorf("content-encoding %q", encoding)
	}
	return nil
}

const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
