//go:build linux

package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"mpush/test/harness"
)

// wires are the connections that somebody has, to be cut at any moment.
type wires struct {
	mu   sync.Mutex
	open map[*wire]bool
}

// wire is a connection that is one of wires until it is closed.
type wire struct {
	net.Conn
	among *wires
}

func newWires() *wires { return &wires{open: make(map[*wire]bool)} }

func (w *wires) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	one := &wire{conn, w}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[one] = true
	return one, nil
}

func (w *wire) Close() error {
	w.among.mu.Lock()
	delete(w.among.open, w)
	w.among.mu.Unlock()
	return w.Conn.Close()
}

// cut breaks all connections off, without a goodbye and with what is on its way.
func (w *wires) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for one := range w.open {
		_ = one.Conn.(*net.TCPConn).SetLinger(0)
		_ = one.Conn.Close()
	}
	clear(w.open)
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
	wires   *wires
}

func newHTTP(address, token string, get bool) *overHTTP {
	w := newWires()
	return &overHTTP{address: address, token: token, get: get, wires: w, client: &http.Client{
		Transport: &http.Transport{DisableKeepAlives: get, DialContext: w.dial}, Timeout: patience,
	}}
}

func (o *overHTTP) cut() { o.wires.cut() }

func (o *overHTTP) close() { o.client.CloseIdleConnections() }

func (o *overHTTP) send(ctx context.Context, s *send, wait time.Duration) ([]byte, error) {
	kind := "send"
	if s.sendType == "group" {
		kind = "group"
	}
	url, method, body := fmt.Sprintf("http://%s/%s.%s", o.address, s.target, kind), http.MethodPost, harness.Object{"text": s.text, "desp": s.desp()}
	maps.Copy(body, s.extra())
	if o.get && s.size == 0 && s.ttl == 0 {
		sender, number := s.sender, s.number
		url, method, body = fmt.Sprintf("%s?text=%s+%d", url, sender, number), http.MethodGet, nil
	}
	header := []string{"Prefer", "wait=" + strconv.Itoa(int(wait.Seconds()))}
	if s.keyed {
		header = append(header, "Idempotency-Key", s.text)
	}
	status, answer, err := o.do(ctx, method, url, body, header...)
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
	request.GetBody = nil // else one with a key is sent again by itself
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
	wires   *wires
	socket  *socket
}

func newOverWebsocket(address, token, name string) *overWebsocket {
	return &overWebsocket{address: address, token: token, name: name, wires: newWires()}
}

func (o *overWebsocket) cut() { o.wires.cut() }

func (o *overWebsocket) close() {
	if o.socket != nil {
		o.socket.close()
		o.socket = nil
	}
}

// send leaves the wait to the channel's waitTimeout.
func (o *overWebsocket) send(ctx context.Context, s *send, _ time.Duration) ([]byte, error) {
	if o.socket == nil {
		socket, err := dial(ctx, o.wires, o.address, o.token, o.name, "")
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUnsent, err)
		}
		o.socket = socket
	}
	data := harness.Object{
		"sendType": s.sendType, "target": s.target,
		"message": harness.Object{"text": s.text, "desp": s.desp(), "extra": s.extra()},
	}
	if s.keyed {
		data["idempotencyKey"] = s.text
	}
	text, err := json.Marshal(harness.Object{"cmd": "MESSAGE", "data": data})
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
