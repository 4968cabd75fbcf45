package websocket

import (
	"errors"
	"net/http"
	"sync"

	"github.com/gorilla/websocket"

	"mpush/sdk/listen"
	"mpush/sdk/packet"
)

// handshake makes sockets of requests. It returns as soon as the socket is
// handed to a goroutine of its own, so that the request's memory is free.
type handshake struct {
	hub      *hub
	trusted  listen.Proxies
	crowd    *listen.Crowd
	upgrader websocket.Upgrader
	// localPages: browsers on this machine may show no pages of elsewhere.
	localPages bool
}

func newHandshake(hub *hub, trusted listen.Proxies, crowd *listen.Crowd, localPages bool) *handshake {
	return &handshake{
		hub:        hub,
		trusted:    trusted,
		crowd:      crowd,
		localPages: localPages,
		upgrader: websocket.Upgrader{
			// Most frames of clients are acks.
			ReadBufferSize:  512,
			WriteBufferSize: 4 << 10,
			WriteBufferPool: new(sync.Pool),
			// Clients are web apps served from other hosts. A page of another
			// origin gains nothing by the user's browser: there is no cookie,
			// only the token in AUTH, which it would have to know. Where it need
			// not, see localPages.
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
	client := h.trusted.Client(r)
	if h.localPages && isStrange(r, client) {
		h.upgrader.Error(w, r, http.StatusForbidden, errors.New(h.hub.host.Channel()+".host: only web pages of this machine are let in while anybody can let itself in"))
		return
	}
	leave, ok := h.crowd.EnterRequest(r, client)
	if !ok {
		h.upgrader.Error(w, r, http.StatusTooManyRequests, errors.New(listen.CrowdedInfo(h.hub.host.Channel()+maxPerAddress)))
		return
	}
	ws, err := h.upgrader.Upgrade(w, r, nil)
	if err != nil {
		leave()
		return // the client has been told
	}
	c := newConn(h.hub, ws, client, leave)
	if !h.hub.add(c) {
		leave()
		c.close(codeGoingAway, "the server stops")
	}
}
