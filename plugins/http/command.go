package http

import (
	"cmp"
	nethttp "net/http"
	"time"

	"mpush/sdk"
	"mpush/sdk/packet"
)

// cmdTest answers with nothing: clients try the connection with it.
const cmdTest = "TEST_HTTP"

// packet does what a packet asks for.
func (c *call) packet(p *packet.Packet) {
	switch p.Cmd {
	case packet.CmdMessage:
		s, err := packet.ParseSend(p.Data)
		if err != nil {
			c.fail(nethttp.StatusBadRequest, err.Error())
			return
		}
		c.publish(s, p.Auth())
	case packet.CmdAuth:
		c.login(p.Data)
	case packet.CmdMessageCallback:
		c.confirm(p)
	case packet.CmdUnregister:
		if c.admitted() && c.withSession(p) {
			c.acknowledge("", c.host.Unregister(c.context(), c.credentials))
		}
	case cmdTest:
		if c.admitted() {
			c.w.WriteHeader(nethttp.StatusOK)
		}
	default:
		c.command(p)
	}
}

// publish sends a message and answers with what became of it.
func (c *call) publish(s packet.Send, auth string) {
	if !c.withToken() {
		return
	}
	c.credentials.Auth = auth
	sendType := sdk.Personal
	if s.SendType == packet.Group {
		sendType = sdk.Group
	}
	published, err := c.host.Publish(c.context(), sdk.Publish{
		Credentials: c.credentials,
		SendType:    sendType,
		Target:      s.Target,
		Text:        s.Text,
		Desp:        s.Desp,
		Extra:       s.Extra,
		Wait:        c.waitTime(),

		IdempotencyKey: cmp.Or(s.IdempotencyKey, c.r.Header.Get("Idempotency-Key")),
	})
	c.reply(published, err)
}

// status answers with what became of a message until now, whatever the channel's
// settings are. Who asks shows the token, or its session, in the same place.
func (c *call) status(mid int64) {
	given := bearer(c.r)
	published, err := c.host.Status(c.context(), sdk.Credentials{Token: given, Auth: given, Remote: c.credentials.Remote}, mid)
	c.reply(published, err)
}

// reply answers with statuses.
func (c *call) reply(published sdk.Published, err error) {
	if err != nil {
		c.refuse(err)
		return
	}
	size := 64 + 48*len(published.Statuses)
	c.answer(nethttp.StatusOK, packet.AppendReply(make([]byte, 0, size), published.MID, published.Statuses))
}

// login checks a client's token and gives it a session. The token is that of
// the packet, and is checked whatever the channel's settings are.
func (c *call) login(data []byte) {
	login, err := packet.ParseLogin(data)
	if err == nil {
		err = packet.CheckName("data.name", login.Name)
	}
	if err != nil {
		c.fail(nethttp.StatusBadRequest, err.Error())
		return
	}
	if !c.admitted() {
		return
	}
	credentials := sdk.Credentials{Token: login.Token, Remote: c.credentials.Remote}
	session, err := c.host.Authenticate(c.context(), credentials, login.Name, login.Group)
	switch {
	case err == nil:
		c.answer(nethttp.StatusOK, packet.AppendSession(nil, session.Auth, session.Announcements))
	case sdk.CodeOf(err) == sdk.CodeUnauthenticated:
		c.answer(nethttp.StatusForbidden, packet.AppendRefusal(nil, nethttp.StatusForbidden, "Token invalid"))
	case sdk.CodeOf(err) == sdk.CodeNameInUse:
		c.answer(nethttp.StatusForbidden, packet.AppendRefusal(nil, nethttp.StatusForbidden, "The name ["+login.Name+"] is already used"))
	case sdk.CodeOf(err) == sdk.CodeForbidden:
		c.answer(nethttp.StatusForbidden, packet.AppendRefusal(nil, nethttp.StatusForbidden, err.Error()))
	default:
		c.refuse(err)
	}
}

// confirm tells that a receiver has a message.
func (c *call) confirm(p *packet.Packet) {
	mid, err := packet.ParseCallback(p.Data)
	if err != nil {
		c.fail(nethttp.StatusBadRequest, err.Error())
		return
	}
	if c.withSession(p) {
		c.acknowledge("", c.host.Confirm(c.context(), sdk.Confirm{Credentials: c.credentials, MID: mid}))
	}
}

// command hands on what this channel does not know.
func (c *call) command(p *packet.Packet) {
	if !c.withToken() {
		return
	}
	c.credentials.Auth = p.Auth()
	data := p.Data
	if data == nil {
		data = []byte("null")
	}
	c.acknowledge(c.host.Command(c.context(), sdk.ClientCommand{Credentials: c.credentials, Name: p.Cmd, Data: data}))
}

// acknowledge answers with the info, "ok" if there is none.
func (c *call) acknowledge(info string, err error) {
	if err != nil {
		c.refuse(err)
		return
	}
	if info == "" {
		info = "ok"
	}
	c.answer(nethttp.StatusOK, packet.AppendInfo(nil, info))
}

// waitTime is how long the sender waits: as configured, or less if it says so
// (RFC 7240).
func (c *call) waitTime() time.Duration {
	for _, line := range c.r.Header["Prefer"] {
		if wait, ok := preferredWait(line); ok {
			return min(wait, c.wait)
		}
	}
	return c.wait
}
