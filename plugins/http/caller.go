package http

import (
	nethttp "net/http"
	"strconv"
	"strings"
	"time"

	"mpush/sdk"
	"mpush/sdk/packet"
)

// credentials are what the header of a request says of its sender.
func (h *handler) credentials(r *nethttp.Request) sdk.Credentials {
	c := sdk.Credentials{Remote: h.trusted.Client(r)}
	if !h.verify {
		c.Trusted = true
		return c
	}
	c.Token = bearer(r)
	return c
}

// bearer is what the header authorization says, with or without its scheme.
func bearer(r *nethttp.Request) string {
	given := r.Header.Get("Authorization")
	if scheme, token, ok := strings.Cut(given, " "); ok && strings.EqualFold(scheme, "bearer") {
		given = strings.TrimSpace(token)
	}
	// Headers may hold any bytes. No token is like this one, but the core could
	// not even read it.
	return strings.ToValidUTF8(given, "\ufffd")
}

// admitted asks the core about the token alone, for what needs no other call.
// If it is wrong, the request has been answered.
func (c *call) admitted() bool {
	if !c.verify {
		return true
	}
	if err := c.host.CheckToken(c.context(), c.credentials); err != nil {
		c.refuse(err)
		return false
	}
	return true
}

// withToken makes sure that the next call to the core is about a token: where
// there is none, a session alone must not do instead.
func (c *call) withToken() bool {
	return c.credentials.Token != "" || c.admitted()
}

// withSession adds the session of p to the credentials. If there is none, the
// request has been answered.
func (c *call) withSession(p *packet.Packet) bool {
	if !c.withToken() {
		return false
	}
	if c.credentials.Auth = p.Auth(); c.credentials.Auth == "" {
		c.fail(nethttp.StatusUnauthorized, "auth: missing")
		return false
	}
	return true
}

// preferredWait finds wait=N, in seconds, in a Prefer header.
func preferredWait(line string) (time.Duration, bool) {
	for preference := range strings.SplitSeq(line, ",") {
		preference, _, _ = strings.Cut(preference, ";")
		name, value, _ := strings.Cut(preference, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue
		}
		value = strings.Trim(strings.TrimSpace(value), `"`)
		seconds, err := strconv.ParseUint(value, 10, 31)
		if err != nil {
			return 0, false
		}
		return time.Duration(seconds) * time.Second, true
	}
	return 0, false
}
