package websocket

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"mpush/sdk"
	"mpush/sdk/packet"
)

// prefetch is how many messages the core may lease ahead for one receiver, so
// that a queue drains at the client's pace and not at that of three processes.
const prefetch = 32

// login attaches the socket as the receiver that the client names. A socket
// that is attached already is renewed, or moves to the new name. If it is
// refused, everything stays as it is.
func (c *conn) login(data []byte) {
	login, err := packet.ParseLogin(data)
	if err != nil {
		c.info(err.Error())
		return
	}
	if login.Name == "" {
		c.info("data.name: expected a name, not nothing")
		return
	}
	h := c.hub
	credentials := sdk.Credentials{Token: login.Token, Remote: c.remote}
	if !h.settings.VerifyToken {
		credentials.Token, credentials.Trusted = "", true
	}
	retry := h.settings.RetryTimeout
	c.mu.Lock()
	before := c.current
	c.busy = true
	c.mu.Unlock()
	_, err = h.host.Attach(h.ctx, sdk.Attach{
		Credentials: credentials,
		Name:        login.Name,
		Group:       login.Group,
		Policy:      sdk.Policy{Exclusive: true, Acks: true, Prefetch: prefetch, Resend: retry, Retry: retry},
		Ready:       func(s sdk.Session) { c.ready(login.Name, s) },
	})
	c.mu.Lock()
	c.busy = false
	c.mu.Unlock()
	if err != nil {
		c.refused(login.Name, before, err)
		return
	}
	// Evicted by the core if it was the same receiver's, else it is for us to
	// end.
	if before.generation != 0 && before.receiver != login.Name {
		h.host.Detach(before.receiver, before.generation)
	}
}

// ready takes the attachment over and says so, before any message of it is
// written. The goroutine that reads for the channel calls it.
func (c *conn) ready(name string, s sdk.Session) {
	a := attachment{name, s.Generation}
	c.mu.Lock()
	before := c.current
	c.current, c.auth = a, s.Auth
	c.mu.Unlock()
	if before.generation != 0 {
		c.hub.unattach(before)
	}
	c.hub.attach(a, c)
	c.write(packet.AppendSession(nil, s.Auth, s.Announcements))
}

// refused tells the client that it could not be attached. An AUTH packet with
// a code is final for clients in the field, so a passing fault is not told by
// one; the socket of a stranger is closed then, and the client comes again.
func (c *conn) refused(name string, before attachment, err error) {
	switch sdk.CodeOf(err) {
	case sdk.CodeUnauthenticated:
		c.write(packet.AppendRefusal(nil, 403, "Token invalid"))
	case sdk.CodeNameInUse:
		c.write(packet.AppendRefusal(nil, 403, fmt.Sprintf("The name [%s] is already used", name)))
	case sdk.CodeForbidden: // its token will not do for this name the next time either
		c.write(packet.AppendRefusal(nil, 403, c.textOf(err)))
	case sdk.CodeUnavailable:
		c.info(c.textOf(err))
		if before.generation == 0 {
			c.close(codeTryLater, "temporarily unavailable")
		}
	default:
		c.info(c.textOf(err))
	}
}

// textOf is what a client may read of a refusal.
func (c *conn) textOf(err error) string {
	var refusal *sdk.Error
	if errors.As(err, &refusal) {
		return refusal.Message
	}
	slog.Warn("request got no answer from the core", "channel", c.hub.host.Channel(), "err", err)
	return "temporarily unavailable"
}

// unregister has the core forget the receiver. The socket stays open, with
// nobody attached.
func (c *conn) unregister() {
	c.mu.Lock()
	auth := c.auth
	c.leaving = true
	c.mu.Unlock()
	err := c.hub.host.Unregister(c.hub.ctx, sdk.Credentials{Auth: auth, Remote: c.remote})
	c.mu.Lock()
	current := c.current
	c.leaving = false
	if err == nil {
		c.current, c.auth, c.since = attachment{}, "", time.Now()
	}
	c.mu.Unlock()
	if err != nil {
		c.info(c.textOf(err))
		return
	}
	c.hub.unattach(current)
}

// evicted ends the attachment from the core's side.
func (c *conn) evicted(a attachment, why sdk.Eviction) {
	c.mu.Lock()
	isCurrent := c.current == a
	if isCurrent {
		c.current, c.auth, c.since = attachment{}, "", time.Now()
	}
	leaving := c.leaving
	c.mu.Unlock()
	if isCurrent && !leaving {
		code := codeNormal
		if why.Cause == sdk.TokenEnded { // clients that hear 1000 stay away
			code = codePolicy
		}
		c.close(code, why.Reason)
	}
}
