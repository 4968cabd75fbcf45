package http

import (
	"errors"
	"io"
	nethttp "net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"mpush/sdk"
	"mpush/sdk/packet"
)

// handler answers requests.
type handler struct {
	host    sdk.Host
	verify  bool
	cors    bool
	wait    time.Duration
	maxBody int
	trusted prefixes

	// Header values that most answers share.
	contentType, vary []string
}

func newHandler(host sdk.Host, s settings, trusted prefixes) *handler {
	return &handler{
		host:        host,
		verify:      s.VerifyToken,
		cors:        s.CORS,
		wait:        s.WaitTimeout,
		maxBody:     s.MaxBody,
		trusted:     trusted,
		contentType: []string{"application/json; charset=utf-8"},
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

// get sends what the path and the query say.
func (c *call) get() {
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

const notFound = "no such path: expected /NAME.send or /GROUP.group"

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
	encoded := string(body)
	if kind == jsonBody {
		c.postJSON(body)
		return
	}
	if encoded == "" {
		encoded = c.r.URL.RawQuery
	}
	c.postForm(encoded)
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

// target is whom a path names.
type target struct{ sendType, name string }

func (t target) complete(s packet.Send) packet.Send {
	s.SendType, s.Target = t.sendType, t.name
	return s
}

// parseTarget reads the last segment of the path of a request. ok is false if
// it names nobody; err tells what is wrong with the name. The segment is
// decoded after it is cut off, so a name may hold an escaped slash.
func parseTarget(uri string) (t target, ok bool, err error) {
	path, _, _ := strings.Cut(uri, "?")
	segment, err := url.PathUnescape(path[strings.LastIndexByte(path, '/')+1:])
	if err != nil {
		return t, false, errors.New("path: invalid percent-encoding")
	}
	if t.name, ok = strings.CutSuffix(segment, ".send"); ok {
		t.sendType = packet.Personal
	} else if t.name, ok = strings.CutSuffix(segment, ".group"); ok {
		t.sendType = packet.Group
	}
	if !utf8.ValidString(segment) {
		return t, ok, errors.New("path: not valid UTF-8")
	}
	if ok {
		err = packet.CheckName("path", t.name)
	}
	return t, ok, err
}

type kindOfBody int

const (
	unknownBody kindOfBody = iota
	jsonBody
	formBody
)

func bodyKind(h nethttp.Header) kindOfBody {
	value := h.Get("Content-Type")
	media, _, _ := strings.Cut(value, ";")
	media = strings.TrimSpace(media)
	switch {
	case strings.EqualFold(media, "application/json"), strings.EqualFold(media, "text/json"):
		return jsonBody
	case strings.EqualFold(media, "application/x-www-form-urlencoded"):
		return formBody
	case len(media) > len("+json") && strings.EqualFold(media[len(media)-len("+json"):], "+json"):
		return jsonBody
	}
	return unknownBody
}

var errBodyTooLarge = errors.New("the body is too large")

// readBody reads the whole body. Memory is taken as the bytes arrive, not as
// they are announced.
func readBody(r *nethttp.Request, limit int) ([]byte, error) {
	if r.ContentLength > int64(limit) {
		return nil, errBodyTooLarge
	}
	size := 512
	if r.ContentLength >= 0 {
		// One more: the read that fills it then also sees the end.
		size = min(int(r.ContentLength)+1, 64<<10)
	}
	body := make([]byte, 0, size)
	for {
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > limit:
			return nil, errBodyTooLarge
		case errors.Is(err, io.EOF):
			return body, nil
		case err != nil:
			return nil, err
		}
	}
}
