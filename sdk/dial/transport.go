package dial

import (
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
	"syscall"
	"time"
)

const (
	dialTime      = 10 * time.Second
	handshakeTime = 10 * time.Second
	idleTime      = 90 * time.Second
	// pingTime is after how much silence an HTTP/2 connection is asked whether it
	// still lives, and how long it may take to answer. A request that times out
	// leaves such a connection open, and the next one would go to the dead end.
	pingTime       = 15 * time.Second
	maxHeaderBytes = 64 << 10
	maxIdle        = 256
	maxIdlePerHost = 32
)

// Transport is an http.Transport in which no request fails because another's
// context has ended. That does not hold for a request whose body can not be had
// again, beside contexts that end with a cause or by an http.Client's Timeout,
// nor for a Clone. Its fields may be changed until the first request.
type Transport struct{ *http.Transport }

// NewTransport makes a transport that reuses connections and calls through proxy.
// The proxies of the environment do not matter to it: what a channel uses stands
// in its configuration. It does not ask for compressed answers. Only connecting
// has time limits here: how long an answer may take is for the request's
// context to say.
//
// control may be nil. It is the Control of the net.Dialer: it sees each address
// that is about to be dialed, after resolution, and its error ends that attempt.
// With a proxy that is the proxy's address, so there it says nothing of the
// request's.
//
// The caller calls CloseIdleConnections when it is done.
func NewTransport(proxy Proxy, control func(network, address string, c syscall.RawConn) error) *Transport {
	dialer := &net.Dialer{Timeout: dialTime, Control: control}
	t := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    handshakeTime,
		IdleConnTimeout:        idleTime,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true, // a DialContext would turn it off
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingTime, PingTimeout: pingTime},
	}
	if u := proxy.URL(); u != nil {
		t.Proxy = http.ProxyURL(u)
	}
	return &Transport{t}
}

// RoundTrip makes a request (see http.RoundTripper).
//
// An http.Transport has an HTTP/1 connection ready for the next request before
// the last one has its answer, if that has no body. If the last one's context
// ends in that moment, the connection is closed under the next one, which gets
// the other's error (https://go.dev/issue/41600). Here it is made again: a server
// may get it twice, as after any fault.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	var reused bool
	trace := &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused }}
	for try := request.WithContext(httptrace.WithClientTrace(request.Context(), trace)); ; {
		reused = false
		answer, err := t.Transport.RoundTrip(try)
		if answer != nil {
			answer.Request = request
		}
		another := err == context.Canceled || err == context.DeadlineExceeded
		if !another || !reused || request.Context().Err() != nil {
			return answer, err
		}
		if request.Body != nil && request.Body != http.NoBody {
			if request.GetBody == nil {
				return answer, err
			}
			body, faulty := request.GetBody()
			if faulty != nil {
				return answer, err
			}
			try = try.WithContext(try.Context())
			try.Body = body
		}
	}
}
