package http

import (
	"errors"
	"io"
	nethttp "net/http"
	"strings"
)

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
