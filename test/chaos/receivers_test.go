//go:build linux

package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"mpush/test/harness"
)

// socket is an authenticated websocket.
type socket struct {
	ws   *websocket.Conn
	conn *connection
	auth string
	stop func() bool
}

// refusedError is an AUTH that was answered with something final.
type refusedError struct{ frame string }

func (e *refusedError) Error() string { return "AUTH was answered with " + e.frame }

// dial opens a websocket and authenticates. Its reads end with ctx.
func dial(ctx context.Context, w *wires, address, token, name, group string) (*socket, error) {
	dialer := websocket.Dialer{HandshakeTimeout: patience, NetDialContext: w.dial}
	ws, _, err := dialer.DialContext(ctx, "ws://"+address+"/", nil)
	if err != nil {
		return nil, err
	}
	s := &socket{ws: ws, conn: &connection{inbox: name, opened: time.Now()}}
	s.stop = context.AfterFunc(ctx, func() { ws.NetConn().Close() })
	err = ws.WriteMessage(websocket.TextMessage, []byte(harness.AuthPacket(token, name, group)))
	var frame []byte
	if err == nil {
		_, frame, err = ws.ReadMessage()
	}
	var reply struct {
		Cmd  string
		Data struct {
			Code int
			Auth string
		}
	}
	switch {
	case err != nil:
	case bytes.HasPrefix(frame, []byte(`{"cmd":"INFO"`)): // a passing fault
		err = fmt.Errorf("AUTH: %s", frame)
	case json.Unmarshal(frame, &reply) != nil || reply.Cmd != "AUTH" || reply.Data.Code != 200:
		err = &refusedError{string(frame)}
	}
	if err != nil {
		s.close()
		return nil, err
	}
	s.auth = reply.Data.Auth
	return s, nil
}

// close closes the socket without a goodbye.
func (s *socket) close() {
	s.stop()
	s.ws.Close()
}

// habits are what a receiver does now and then, while it is not to hurry: each
// once in so many messages, 0 for never.
type habits struct {
	slow     time.Duration // at most so long before each ack
	dawdle   int           // acks after more than the resend interval
	reopen   int           // closes the socket and comes back, the message unconfirmed
	ackLate  int           // the same, but confirms over the new socket at once
	takeOver int           // opens another socket while the first is open
	overHTTP int           // acks over HTTP
	silent   int           // acks nothing more until it is to hurry
	absent   bool          // may be sent away
}

// receiver gets messages and confirms them.
type receiver struct {
	name, group string
	habits      habits
	ledger      *ledger
	rand        *rand.Rand
	address     string // of the websocket channel
	token       string
	http        *overHTTP
	wires       *wires

	mu     sync.Mutex
	away   bool
	hurry  chan struct{} // closed: no habits for now
	moved  chan struct{} // closed with the next change of away
	known  chan struct{} // closed when it has been connected
	socket *socket       // nil: none
}

// send away, or let come back.
func (r *receiver) setAway(away bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away == away {
		return
	}
	r.away = away
	close(r.moved)
	r.moved = make(chan struct{})
	if away && r.socket != nil {
		r.socket.ws.NetConn().Close()
	}
}

// cut breaks the receiver's connections off.
func (r *receiver) cut() { r.wires.cut() }

// setHurry tells the receiver to confirm at once, or to follow its habits again.
func (r *receiver) setHurry(hurry bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if hurry {
		close(r.hurry)
	} else {
		r.hurry = make(chan struct{})
	}
}

// now tells whether to follow a habit that comes once in so many messages.
func (r *receiver) now(once int) bool {
	if once == 0 || r.rand.IntN(once) != 0 {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.hurry:
		return false
	default:
		return true
	}
}

// wait lets time pass, unless there is a hurry.
func (r *receiver) wait(ctx context.Context, d time.Duration) {
	r.mu.Lock()
	hurry := r.hurry
	r.mu.Unlock()
	rest(ctx, hurry, d)
}

// rest lets time pass until it is over, or ended.
func rest(ctx context.Context, ended <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ended:
	case <-ctx.Done():
	}
}

// run receives until ctx ends.
func (r *receiver) run(ctx context.Context) {
	defer r.http.close()
	known := sync.OnceFunc(func() { close(r.known) })
	late := int64(0) // to be confirmed over the next socket
	for ctx.Err() == nil {
		s := r.open(ctx)
		if s == nil {
			continue
		}
		known()
		if late != 0 {
			r.confirm(s, late, " late")
		}
		late = r.receive(ctx, s)
	}
}

// open returns a new socket when the receiver may have one. It returns nil if
// it should be tried again.
func (r *receiver) open(ctx context.Context) *socket {
	r.mu.Lock()
	away, moved := r.away, r.moved
	r.mu.Unlock()
	if away {
		select {
		case <-moved:
		case <-ctx.Done():
		}
		return nil
	}
	s, err := dial(ctx, r.wires, r.address, r.token, r.name, r.group)
	if refusal, ok := err.(*refusedError); ok {
		r.ledger.wrong(r.name, "%v", refusal)
	}
	if err != nil {
		pause(ctx, 10*time.Millisecond)
		return nil
	}
	r.ledger.remark(r.name, "is connected")
	return s
}

// use makes s the socket that setAway closes, and reports false if the receiver
// is to be away.
func (r *receiver) use(s *socket) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.socket = s
	return !r.away
}

// receive takes what comes over the socket until that ends. It returns the mid
// to be confirmed over the next one, or 0.
func (r *receiver) receive(ctx context.Context, s *socket) (late int64) {
	defer func() {
		r.use(nil)
		s.close()
		r.ledger.remark(r.name, "is disconnected")
	}()
	if !r.use(s) {
		return 0
	}
	for {
		mid, err := r.read(s)
		if err != nil {
			return 0
		}
		switch {
		case r.now(r.habits.reopen):
			return 0
		case r.now(r.habits.ackLate):
			return mid
		case r.now(r.habits.takeOver):
			if second := r.takeOver(ctx, s); second != nil {
				s = second
				if !r.use(s) {
					return 0
				}
				continue // it comes again
			}
		case r.now(r.habits.silent):
			r.wait(ctx, patience)
		case r.now(r.habits.dawdle):
			r.wait(ctx, r.ledger.retry+r.ledger.retry/4)
		case r.habits.slow > 0:
			r.wait(ctx, time.Duration(r.rand.Int64N(int64(r.habits.slow))))
		}
		if r.now(r.habits.overHTTP) && r.confirmOverHTTP(ctx, s, mid) {
			continue
		}
		r.confirm(s, mid, "")
	}
}

// read reads one message.
func (r *receiver) read(s *socket) (mid int64, err error) {
	_, frame, err := s.ws.ReadMessage()
	if err != nil {
		return 0, err
	}
	p, err := parsePacket(frame)
	if err != nil {
		r.ledger.wrong(r.name, "got %q: %v", frame, err)
		return 0, err
	}
	r.ledger.delivered(time.Now(), s.conn, p)
	return p.mid, nil
}

// parsePacket reads a MESSAGE packet.
func parsePacket(text []byte) (packet, error) {
	var message struct {
		Cmd  string
		Data struct {
			SendType, Target, MID string
			From                  struct{ Method, Name string }
			Message               struct {
				Text, Desp string
				Extra      struct{ Truncated bool }
			}
		}
	}
	if err := json.Unmarshal(text, &message); err != nil {
		return packet{}, err
	}
	if message.Cmd != "MESSAGE" {
		return packet{}, errors.New("it is no MESSAGE")
	}
	d := message.Data
	mid, err := strconv.ParseInt(d.MID, 10, 64)
	return packet{
		mid: mid, text: d.Message.Text, desp: d.Message.Desp, cut: d.Message.Extra.Truncated,
		sendType: d.SendType, target: d.Target, method: d.From.Method, from: d.From.Name,
	}, err
}

// confirm acks over a socket. If that has ended, its reader notices.
func (r *receiver) confirm(s *socket, mid int64, how string) {
	r.ledger.confirms(time.Now(), r.name, mid, how, false)
	_ = s.ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"cmd":"MESSAGE_CALLBACK","data":{"mid":"%d"}}`, mid))
}

// confirmOverHTTP reports whether the ack was taken.
func (r *receiver) confirmOverHTTP(ctx context.Context, s *socket, mid int64) bool {
	r.ledger.confirms(time.Now(), r.name, mid, " over HTTP", false)
	status, body, err := r.http.post(ctx, harness.Object{
		"cmd": "MESSAGE_CALLBACK", "data": harness.Object{"mid": strconv.FormatInt(mid, 10)}, "auth": s.auth,
	})
	if err != nil || status == http.StatusServiceUnavailable {
		return false
	}
	if status != http.StatusOK || string(body) != `{"cmd":"INFO","data":"ok"}` {
		r.ledger.wrong(r.name, "its ack of %d over HTTP is answered with %d %s", mid, status, body)
	}
	return true
}

// takeOver opens a second socket and returns it when the first has ended, as it
// must. It returns nil, with the first still in use, if there is no second.
func (r *receiver) takeOver(ctx context.Context, first *socket) *socket {
	second := r.open(ctx)
	if second == nil {
		return nil
	}
	r.ledger.remark(r.name, "takes over")
	first.ws.SetReadDeadline(time.Now().Add(patience))
	for {
		mid, err := r.read(first)
		if timeout, ok := err.(interface{ Timeout() bool }); ok && timeout.Timeout() {
			r.ledger.wrong(r.name, "its first socket is open though it has a second")
		}
		if err != nil {
			break
		}
		r.confirm(first, mid, " over the first socket")
	}
	first.close()
	return second
}
