package http

import (
	"errors"
	"log/slog"
	nethttp "net/http"
	"os"
	"strconv"
	"time"

	"mpush/sdk"
	"mpush/sdk/packet"
)

// answer writes an answer, at once and with its length.
func (c *call) answer(status int, body []byte) {
	if status == nethttp.StatusUnauthorized {
		c.w.Header()["Www-Authenticate"] = []string{"Bearer"}
	}
	// For short bodies net/http knows the length by itself.
	if len(body) > 2<<10 {
		c.w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	c.w.WriteHeader(status)
	c.w.Write(body)
}

// fail answers with a fault that was found without the core. Only a caller who
// may be here is told of it.
func (c *call) fail(status int, info string) {
	if c.admitted() {
		c.answer(status, packet.AppendInfo(nil, info))
	}
}

// refuse answers with the core's refusal. Without one nobody knows whether the
// message is queued, and an error would say that it is not: the connection ends
// without an answer.
func (c *call) refuse(err error) {
	var refusal *sdk.Error
	if !errors.As(err, &refusal) {
		slog.Warn("request got no answer from the core", "channel", c.host.Channel(), "err", err)
		panic(nethttp.ErrAbortHandler)
	}
	if refusal.RetryAfter > 0 {
		seconds := (refusal.RetryAfter + time.Second - 1) / time.Second
		c.w.Header()["Retry-After"] = []string{strconv.FormatInt(int64(seconds), 10)}
	}
	c.answer(statusOf(refusal.Code), packet.AppendInfo(nil, refusal.Message))
}

func statusOf(code sdk.Code) int {
	switch code {
	case sdk.CodeInvalid, sdk.CodeUnknownCommand:
		return nethttp.StatusBadRequest
	case sdk.CodeUnauthenticated:
		return nethttp.StatusUnauthorized
	case sdk.CodeNotFound:
		return nethttp.StatusNotFound
	case sdk.CodeForbidden, sdk.CodeNameInUse:
		return nethttp.StatusForbidden
	case sdk.CodeLimit:
		return nethttp.StatusTooManyRequests
	case sdk.CodeTooLarge:
		return nethttp.StatusRequestEntityTooLarge
	}
	return nethttp.StatusServiceUnavailable
}

// bodyError answers a request whose body could not be read.
func (c *call) bodyError(err error) {
	// What is left of the body is not waited for.
	c.w.Header()["Connection"] = []string{"close"}
	switch {
	case errors.Is(err, errBodyTooLarge):
		c.fail(nethttp.StatusRequestEntityTooLarge, c.host.Channel()+".maxBody: the body is larger than "+strconv.Itoa(c.maxBody)+" bytes")
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.fail(nethttp.StatusRequestTimeout, "the body did not arrive in time")
	default:
		c.fail(nethttp.StatusBadRequest, "the body ended early")
	}
}
