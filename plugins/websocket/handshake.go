package websocket

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/gorilla/websocket"

	"mpush/sdk/packet"
)

// handshake makes sockets of requests. It returns as soon as the socket is
// handed to a goroutine of its own, so that the request's memory is free.
type handshake struct {
	hub      *hub
	trusted  prefixes
	upgrader websocket.Upgrader
}

func newHandshake(hub *hub, trusted prefixes) *handshake {
	return &handshake{
		hub:     hub,
		trusted: trusted,
		upgrader: websocket.Upgrader{
			// Most frames of clients are acks.
			ReadBufferSize:  512,
			WriteBufferSize: 4 << 10,
			WriteBufferPool: new(sync.Pool),
			// Clients are web apps served from other hosts. A page of another
			// origin gains nothing by the user's browser: there is no cookie,
			// only the token in AUTH, which it would have to know.
			CheckOrigin: func(*http.Request) bool { return true },
			Error: func(w http.ResponseWriter, _ *http.Request, status int, reason error) {
				w.Header().Set("Content-Type", "application/json; charset=utf-8")
				w.Header().Set("Sec-WebSocket-Version", "13")
				w.WriteHeader(status)
				w.Write(packet.AppendInfo(nil, reason.Error()))
			},
		},
	}
}

// ServeHTTP upgrades a request, whatever its path.
func (h *handshake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ws, err := h.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the client has been told
	}
	c := newConn(h.hub, ws, h.trusted.caller(r))
	if !h.hub.add(c) {
		c.close(codeGoingAway, "the server stops")
	}
}

// prefixes are the addresses of reverse proxies.
type prefixes []netip.Prefix

// caller is the address, without port, that a request comes from. What a
// trusted proxy says of it is believed: the last address in X-Forwarded-For
// that is not itself a trusted proxy's.
func (ps prefixes) caller(r *http.Request) string {
	peer := r.RemoteAddr
	if i := strings.LastIndexByte(peer, ':'); i >= 0 {
		peer = strings.Trim(peer[:i], "[]")
	}
	for _, line := range slices.Backward(r.Header["X-Forwarded-For"]) {
		for _, hop := range slices.Backward(strings.Split(line, ",")) {
			if !ps.contain(peer) {
				return peer
			}
			addr, err := netip.ParseAddr(strings.TrimSpace(hop))
			if err != nil {
				return peer
			}
			peer = addr.Unmap().String()
		}
	}
	return peer
}

func (ps prefixes) contain(address string) bool {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(ps, func(p netip.Prefix) bool { return p.Contains(addr) })
}
