//go:build linux

package kill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"mpush/test/harness"
)

// patience bounds what is waited for. It is beyond the time that a stopped
// process takes to be found hung.
const patience = 60 * time.Second

// sender sends one message after the other, each when it knows what became of
// the one before, or that it will not know.
type sender struct {
	name   string
	method string
	ledger *ledger
	rand   *rand.Rand
	number int
	via    carrier
}

// carrier takes a message to the relay and waits for the answer.
type carrier interface {
	// send returns the body of the answer. An error for which unsent is true
	// means that the message can not have reached the relay.
	send(ctx context.Context, s *send, wait time.Duration) (body []byte, err error)
	close()
}

// next makes a message to the receiver or group.
func (s *sender) next(sendType, target string) *send {
	s.number++
	return &send{
		text: fmt.Sprintf("%s %d", s.name, s.number), sender: s.name, number: s.number, method: s.method,
		sendType: sendType, target: target,
	}
}

// desp is what fills a message up to its size.
func (s *send) desp() string { return strings.Repeat(s.text+" ", s.size/(len(s.text)+1)+1)[:s.size] }

// send sends one message and notes what its sender learns.
func (s *sender) send(ctx context.Context, m *send, wait time.Duration) {
	s.ledger.sending(time.Now(), m)
	body, err := s.via.send(ctx, m, wait)
	now := time.Now()
	if errors.Is(err, errStrange) {
		s.ledger.wrong(s.name, "the answer to %q is: %v", m.text, err)
	}
	if err != nil {
		f := unknown
		if unsent(err) {
			f = refused
		}
		s.ledger.unanswered(now, m, f, err.Error())
		return
	}
	var reply struct {
		Cmd  string
		Data json.RawMessage
	}
	var data struct {
		MID    string
		Status map[string]string
	}
	if err := json.Unmarshal(body, &reply); err != nil {
		s.ledger.wrong(s.name, "the answer to %q is %q", m.text, body)
		return
	}
	switch reply.Cmd {
	case "MESSAGE_REPLY":
		err := json.Unmarshal(reply.Data, &data)
		mid, numeric := strconv.ParseInt(data.MID, 10, 64)
		if err != nil || numeric != nil {
			s.ledger.wrong(s.name, "the answer to %q is %q", m.text, body)
			return
		}
		s.ledger.answered(now, m, mid, data.Status)
	case "INFO":
		// An error never queues anything.
		s.ledger.unanswered(now, m, refused, string(reply.Data))
	default:
		s.ledger.wrong(s.name, "the answer to %q is %q", m.text, body)
	}
}

var (
	errUnsent  = errors.New("not sent")         // nothing left the sender
	errStrange = errors.New("a strange answer") // one that no fault explains
)

func unsent(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return errors.Is(err, errUnsent) || ok && op.Op == "dial"
}

// overHTTP sends as programs do: JSON by POST over a kept connection, or by GET
// over a new one each time. Neither is repeated by net/http.
type overHTTP struct {
	address string
	token   string
	get     bool
	client  *http.Client
}

func newHTTP(address, token string, get bool) *overHTTP {
	return &overHTTP{address: address, token: token, get: get, client: &http.Client{
		Transport: &http.Transport{DisableKeepAlives: get}, Timeout: patience,
	}}
}

func (o *overHTTP) close() { o.client.CloseIdleConnections() }

func (o *overHTTP) send(ctx context.Context, s *send, wait time.Duration) ([]byte, error) {
	kind := "send"
	if s.sendType == "group" {
		kind = "group"
	}
	url, method, body := fmt.Sprintf("http://%s/%s.%s", o.address, s.target, kind), http.MethodPost, harness.Object{"text": s.text, "desp": s.desp()}
	if o.get && s.size == 0 {
		sender, number := s.sender, s.number
		url, method, body = fmt.Sprintf("%s?text=%s+%d", url, sender, number), http.MethodGet, nil
	}
	status, answer, err := o.do(ctx, method, url, body, "Prefer", "wait="+strconv.Itoa(int(wait.Seconds())))
	if err == nil && status != http.StatusOK && status != http.StatusServiceUnavailable {
		err = fmt.Errorf("%w: HTTP status %d: %s", errStrange, status, answer)
	}
	return answer, err
}

// post posts a packet and returns the HTTP status and body of the answer.
func (o *overHTTP) post(ctx context.Context, packet harness.Object) (status int, answer []byte, err error) {
	return o.do(ctx, http.MethodPost, "http://"+o.address+"/", packet)
}

func (o *overHTTP) do(ctx context.Context, method, url string, body harness.Object, header ...string) (status int, answer []byte, err error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, url, content)
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := o.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// overWebsocket sends over an authenticated socket, which it opens when it has
// none.
type overWebsocket struct {
	address string
	token   string
	name    string
	socket  *socket
}

func (o *overWebsocket) close() {
	if o.socket != nil {
		o.socket.close()
		o.socket = nil
	}
}

// send leaves the wait to the channel's waitTimeout.
func (o *overWebsocket) send(ctx context.Context, s *send, _ time.Duration) ([]byte, error) {
	if o.socket == nil {
		socket, err := dial(ctx, o.address, o.token, o.name, "")
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUnsent, err)
		}
		o.socket = socket
	}
	text, err := json.Marshal(harness.Object{"cmd": "MESSAGE", "data": harness.Object{
		"sendType": s.sendType, "target": s.target, "message": harness.Object{"text": s.text, "desp": s.desp()},
	}})
	if err != nil {
		return nil, err
	}
	err = o.socket.ws.WriteMessage(websocket.TextMessage, text)
	var answer []byte
	if err == nil {
		_, answer, err = o.socket.ws.ReadMessage()
	}
	if err != nil {
		o.close()
	}
	return answer, err
}

// target is whom a message may go to.
type target struct{ sendType, name string }

// maxDesp is the size of the largest messages, in bytes: more than sockets and
// windows hold.
const maxDesp = 300_000

// run sends until ctx ends, at most one message at a time while open is locked
// for reading: whoever locks it for writing knows that nothing is under way.
func (s *sender) run(ctx context.Context, open locker, targets []target) {
	defer s.via.close()
	for pause(ctx, time.Duration(s.rand.Int64N(int64(20*time.Millisecond)))) {
		to, wait := targets[s.rand.IntN(len(targets))], time.Duration(0)
		if s.rand.IntN(4) == 0 {
			wait = time.Second
		}
		size := 0
		if s.rand.IntN(20) == 0 {
			size = s.rand.IntN(maxDesp)
		}
		open.Lock()
		if ctx.Err() == nil {
			m := s.next(to.sendType, to.name)
			m.size = size
			s.send(ctx, m, wait)
		}
		open.Unlock()
	}
}

type locker interface {
	Lock()
	Unlock()
}

// pause lets time pass, as people and programs do between two sends, and tells
// whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
