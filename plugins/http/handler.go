package http

import (
	"context"
	"errors"
	nethttp "net/http"
	"strings"
	"time"

	"mpush/sdk"
	"mpush/sdk/listen"
	"mpush/sdk/packet"
)

// handler answers requests.
type handler struct {
	host    sdk.Host
	verify  bool
	cors    bool
	wait    time.Duration
	maxBody int
	trusted listen.Proxies
	crowd   *listen.Crowd

	// Header values that most answers share.
	contentType, vary []string
}

func newHandler(host sdk.Host, s settings, trusted listen.Proxies, crowd *listen.Crowd) *handler {
	return &handler{
		host:        host,
		verify:      s.VerifyToken,
		cors:        s.CORS,
		wait:        s.WaitTimeout,
		maxBody:     s.MaxBody,
		trusted:     trusted,
		crowd:       crowd,
		contentType: []string{contentType},
		vary:        []string{"Origin"},
	}
}

// ServeHTTP answers one request.
func (h *handler) ServeHTTP(w nethttp.ResponseWriter, r *nethttp.Request) {
	header := w.Header()
	header["Content-Type"] = h.contentType
	if h.cors {
		header["Vary"] = h.vary
		if origin := r.Header["Origin"]; len(origin) > 0 {
			header["Access-Control-Allow-Origin"] = origin[:1]
		}
	}
	if r.Method == nethttp.MethodOptions {
		h.preflight(w, r)
		return
	}
	c := &call{handler: h, w: w, r: r, credentials: h.credentials(r)}
	leave, ok := h.crowd.EnterRequest(r, c.credentials.Remote)
	if !ok {
		header["Connection"] = []string{"close"} // its body is not waited for
		c.answer(nethttp.StatusTooManyRequests, packet.AppendInfo(nil, listen.CrowdedInfo(h.host.Channel()+maxPerAddress)))
		return
	}
	defer leave()
	switch r.Method {
	case nethttp.MethodGet:
		c.get()
	case nethttp.MethodPost:
		c.post()
	default:
		header.Set("Allow", "GET, POST, OPTIONS")
		c.fail(nethttp.StatusMethodNotAllowed, "use GET or POST")
	}
}

// preflight answers a browser that asks whether a page may send.
func (h *handler) preflight(w nethttp.ResponseWriter, r *nethttp.Request) {
	if !h.cors {
		w.WriteHeader(nethttp.StatusForbidden)
		return
	}
	for asked, allowed := range map[string]string{
		"Access-Control-Request-Headers": "Access-Control-Allow-Headers",
		"Access-Control-Request-Method":  "Access-Control-Allow-Methods",
	} {
		if v := r.Header.Get(asked); v != "" {
			w.Header().Set(allowed, v)
		}
	}
	w.WriteHeader(nethttp.StatusOK)
}

// call is one request on its way.
type call struct {
	*handler
	w           nethttp.ResponseWriter
	r           *nethttp.Request
	credentials sdk.Credentials
}

// context is what the core is asked under. It outlives the request's own, which
// is over as soon as the client sends nothing more, though it may still read. One
// that has gone keeps its place until the core answers, within waitTimeout if the
// disk does.
func (c *call) context() context.Context { return context.WithoutCancel(c.r.Context()) }

// get sends what the path and the query say.
func (c *call) get() {
	if mid, ok, err := parseStatus(c.r.RequestURI); ok {
		if err != nil {
			c.fail(nethttp.StatusBadRequest, err.Error())
			return
		}
		c.status(mid)
		return
	}
	target, ok, err := parseTarget(c.r.RequestURI)
	if err == nil && !ok {
		c.fail(nethttp.StatusNotFound, notFound)
		return
	}
	var ps params
	if err == nil {
		ps, err = parseParams(c.r.URL.RawQuery)
	}
	var s packet.Send
	if err == nil {
		s, err = ps.send()
	}
	if err != nil {
		c.fail(nethttp.StatusBadRequest, err.Error())
		return
	}
	c.publish(target.complete(s), "")
}

const notFound = "no such path: expected /NAME.send, /GROUP.group or /MID.status"

// post reads the body: a packet, or the flat form of a send. The query counts
// only if there is no body.
func (c *call) post() {
	kind := bodyKind(c.r.Header)
	if kind == unknownBody && c.r.ContentLength != 0 {
		c.fail(nethttp.StatusUnsupportedMediaType, "expected content-type application/json or application/x-www-form-urlencoded")
		return
	}
	body, err := readBody(c.r, c.maxBody)
	if err != nil {
		c.bodyError(err)
		return
	}
	query := c.r.URL.RawQuery
	switch {
	// Some clients say that each POST is JSON. One with neither body nor query has
	// lost its message.
	case len(body) == 0 && (kind != jsonBody || query != ""):
		c.postForm(query)
	case kind == jsonBody:
		c.postJSON(body)
	default:
		c.postForm(string(body))
	}
}

// postJSON acts on a packet, wherever it was posted, or on the flat form of a
// send, which needs a path that names somebody.
func (c *call) postJSON(body []byte) {
	p, err := packet.Parse(body)
	if err == nil {
		c.packet(&p)
		return
	}
	if target, ok, faulty := parseTarget(c.r.RequestURI); ok && errors.Is(err, packet.ErrNoCommand) {
		var s packet.Send
		if s, err = packet.ParseFlat(body); err == nil {
			err = faulty
		}
		if err == nil {
			c.publish(target.complete(s), "")
			return
		}
	}
	c.fail(nethttp.StatusBadRequest, err.Error())
}

// postForm is postJSON for urlencoded bodies.
func (c *call) postForm(encoded string) {
	if strings.HasPrefix(encoded, "{") {
		c.fail(nethttp.StatusBadRequest, "the body looks like JSON, but its content-type says that it is a form: expected application/json")
		return
	}
	ps, err := parseParams(encoded)
	if err != nil {
		c.fail(nethttp.StatusBadRequest, err.Error())
		return
	}
	cmd, isPacket, err := ps.single("cmd")
	if err == nil && isPacket {
		var p packet.Packet
		if p, err = formPacket(ps, cmd); err == nil {
			c.packet(&p)
			return
		}
	}
	target, ok, faulty := parseTarget(c.r.RequestURI)
	var s packet.Send
	switch {
	case err != nil:
	case !ok:
		err = packet.ErrNoCommand
	case faulty != nil:
		err = faulty
	default:
		if s, err = ps.send(); err == nil {
			c.publish(target.complete(s), "")
			return
		}
	}
	c.fail(nethttp.StatusBadRequest, err.Error())
}

func formPacket(ps params, cmd string) (packet.Packet, error) {
	data, _, err := ps.single("data")
	if err != nil {
		return packet.Packet{}, err
	}
	auth, _, err := ps.single("auth")
	if err != nil {
		return packet.Packet{}, err
	}
	return packet.ParseForm(cmd, data, auth)
}
