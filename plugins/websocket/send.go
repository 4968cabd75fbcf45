package websocket

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"mpush/sdk"
	"mpush/sdk/packet"
)

const (
	// maxConnAwaiting is how much one client may have asked of the core without
	// having its answer, maxAwaiting how much all of them together.
	maxConnAwaiting = 32
	maxAwaiting     = 4096
)

// send publishes a message for the client, which is replied to when its
// receivers have it, or in waitTimeout.
func (c *conn) send(data []byte) {
	s, err := packet.ParseSend(data)
	if err != nil {
		c.info(err.Error())
		return
	}
	p := sdk.Publish{
		SendType: sdk.Personal,
		Target:   s.Target,
		Text:     s.Text,
		Desp:     s.Desp,
		Extra:    bytes.Clone(s.Extra),
		Wait:     c.hub.settings.WaitTimeout,

		IdempotencyKey: s.IdempotencyKey,
	}
	if s.SendType == packet.Group {
		p.SendType = sdk.Group
	}
	c.ask(func(credentials sdk.Credentials, queued func()) []byte {
		p.Credentials, p.Queued = credentials, queued
		published, err := c.hub.host.Publish(c.hub.ctx, p)
		if _, refused := errors.AsType[*sdk.Error](err); err != nil && !refused {
			// It may be queued: an INFO would say that it is not.
			c.close(codeTryLater, "temporarily unavailable")
			return nil
		}
		if err != nil {
			return packet.AppendInfo(nil, c.textOf(err))
		}
		return packet.AppendReply(nil, published.MID, published.Statuses)
	})
}

// command hands on what this channel does not know. What has nothing to say is
// silent: some clients show every INFO to their user.
func (c *conn) command(name string, data []byte) {
	if data = bytes.Clone(data); data == nil {
		data = []byte("null")
	}
	c.ask(func(credentials sdk.Credentials, queued func()) []byte {
		info, err := c.hub.host.Command(c.hub.ctx, sdk.ClientCommand{Credentials: credentials, Name: name, Data: data, Queued: queued})
		if err != nil {
			info = c.textOf(err)
		}
		if info == "" {
			return nil
		}
		return packet.AppendInfo(nil, info)
	})
}

// ask runs a request to the core beside the reader, which must not wait for it,
// and writes the answer, if any. Too many at once are refused. The reader goes on
// when the request is in line, so that those of one client reach the core in
// their order, or when it has ended before that.
func (c *conn) ask(request func(credentials sdk.Credentials, queued func()) (answer []byte)) {
	if c.awaiting.Add(1) > maxConnAwaiting {
		c.awaiting.Add(-1)
		c.info(fmt.Sprintf("too much at once: at most %d requests may await their answer", maxConnAwaiting))
		return
	}
	if !c.hub.take() {
		c.awaiting.Add(-1)
		c.info("temporarily unavailable: too much at once")
		return
	}
	c.mu.Lock()
	credentials := sdk.Credentials{Auth: c.auth, Remote: c.remote}
	c.mu.Unlock()
	inLine := make(chan struct{})
	goOn := sync.OnceFunc(func() { close(inLine) })
	go func() {
		defer c.hub.give()
		answer := request(credentials, goOn)
		goOn()
		// Before the answer: a client that has it may ask the next at once.
		c.awaiting.Add(-1)
		if answer != nil {
			c.write(answer)
		}
	}()
	<-inLine
}
