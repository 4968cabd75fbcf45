package dial

import (
	"net"
	"net/http"
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

// Transport makes a transport that reuses connections and calls through proxy.
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
func Transport(proxy Proxy, control func(network, address string, c syscall.RawConn) error) *http.Transport {
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
	return t
}
