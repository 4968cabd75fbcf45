package websocket

import (
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"mpush/sdk"
	"mpush/sdk/packet"
)

// Close codes that this channel sends.
const (
	codeNormal    = websocket.CloseNormalClosure
	codeGoingAway = websocket.CloseGoingAway
	codePolicy    = websocket.ClosePolicyViolation
	codeTryLater  = websocket.CloseTryAgainLater
)

// conn is one socket. Its goroutine reads; everybody writes, under writeMu, and
// since the transport never blocks, nobody waits there.
type conn struct {
	hub    *hub
	ws     *websocket.Conn
	out    *transport
	remote string // the client's address without port
	leave  func() // makes room for another of its address

	seen   atomic.Int64 // when the client was last heard of, Unix nanoseconds
	pinged time.Time    // belongs to the sweep

	// awaiting counts what the client has asked of the core.
	awaiting atomic.Int32

	writeMu sync.Mutex
	lastMID int64 // the message that was written last

	mu      sync.Mutex
	current attachment // none: generation 0
	auth    string     // the session of current
	// since is when the client began to be nobody, for the time that it has
	// to authenticate.
	since time.Time
	// busy: an AUTH is with the core, which may take its time.
	busy bool
	// leaving: an UNREGISTER is with the core. The eviction that it brings
	// leaves the socket open.
	leaving bool
}

func newConn(h *hub, ws *websocket.Conn, remote string, leave func()) *conn {
	now := time.Now()
	c := &conn{hub: h, ws: ws, out: transportOf(ws.NetConn()), remote: remote, leave: leave, since: now}
	c.seen.Store(now.UnixNano())
	ws.SetReadLimit(int64(h.settings.MaxFrame))
	ws.SetPongHandler(func(string) error {
		c.seen.Store(time.Now().UnixNano())
		return nil
	})
	ws.SetPingHandler(func(data string) error {
		c.seen.Store(time.Now().UnixNano())
		// A failed write ends the connection by itself.
		_ = ws.WriteControl(websocket.PongMessage, []byte(data), time.Time{})
		return nil
	})
	return c
}

// run reads until the socket ends, and ends what is attached on it.
func (c *conn) run() {
	defer c.hub.remove(c)
	defer c.leave()
	defer c.out.Close()
	for {
		_, reader, err := c.ws.NextReader()
		if err == nil {
			err = c.read(reader)
		}
		if err == nil {
			continue
		}
		c.detach()
		if errors.Is(err, websocket.ErrReadLimit) {
			// The library says so itself, but not of lengths beyond 63 bits. A
			// second close frame is not sent.
			_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseMessageTooBig, c.hub.settings.tooBig(c.hub.host.Channel())), time.Time{})
		}
		if _, left := errors.AsType[*websocket.CloseError](err); !left {
			// It may be a fault of which the client has been told: let it read
			// that.
			c.out.linger()
		}
		return
	}
}

const (
	// maxKeptBuffer bounds the buffers that are kept for other frames.
	maxKeptBuffer = 64 << 10
	// heardChunk of a frame is a sign of life, as a frame is. Less would let a
	// client hold a socket with a byte now and then.
	heardChunk = 64 << 10
)

// read reads one frame and acts on it. An idle socket holds no buffer.
func (c *conn) read(reader io.Reader) error {
	kept := c.hub.buffers.Get().(*[]byte)
	frame, err := c.readAll(reader, (*kept)[:0])
	if err == nil {
		c.seen.Store(time.Now().UnixNano())
		c.handle(frame)
	}
	if cap(frame) <= maxKeptBuffer {
		*kept = frame
	}
	c.hub.buffers.Put(kept)
	return err
}

// readAll appends a frame to an empty buffer.
func (c *conn) readAll(reader io.Reader, buffer []byte) ([]byte, error) {
	heard := 0 // bytes, when the client was last heard of
	for {
		if len(buffer) == cap(buffer) {
			buffer = append(buffer, make([]byte, 512)...)[:len(buffer)]
		}
		n, err := reader.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		if len(buffer)-heard >= heardChunk {
			heard = len(buffer)
			c.seen.Store(time.Now().UnixNano())
		}
		if errors.Is(err, io.EOF) {
			return buffer, nil
		}
		if err != nil {
			return buffer, err
		}
	}
}

// handle acts on one frame. What must outlive the call is copied.
func (c *conn) handle(frame []byte) {
	p, err := packet.Parse(frame)
	if err != nil {
		c.info(err.Error())
		return
	}
	c.mu.Lock()
	current := c.current
	c.mu.Unlock()
	switch {
	case p.Cmd == packet.CmdAuth:
		c.login(p.Data)
	case current.generation == 0:
		c.write(packet.AppendRefusal(nil, 401, "Need Auth"))
	case p.Cmd == packet.CmdMessageCallback:
		mid, err := packet.ParseCallback(p.Data)
		if err != nil {
			c.info(err.Error())
			return
		}
		c.hub.host.Acked(current.receiver, current.generation, mid)
	case p.Cmd == packet.CmdMessage:
		c.send(p.Data)
	case p.Cmd == packet.CmdPing:
		c.write(packet.AppendPong(nil))
	case p.Cmd == packet.CmdUnregister:
		c.unregister()
	default:
		c.command(p.Cmd, p.Data)
	}
}

// write writes one packet. It does not block; a failure ends the socket, which
// its reader notices.
func (c *conn) write(text []byte) {
	c.writeMu.Lock()
	_ = c.ws.WriteMessage(websocket.TextMessage, text)
	c.writeMu.Unlock()
}

func (c *conn) info(text string) { c.write(packet.AppendInfo(nil, text)) }

// deliver writes a message. One that is to be written again while the client has
// not even taken what was written before is left alone.
func (c *conn) deliver(m *sdk.Message) {
	text := m.Packet()
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	if c.lastMID == m.MID && c.out.backlogged() {
		return
	}
	c.lastMID = m.MID
	_ = c.ws.WriteMessage(websocket.TextMessage, text)
}

// sweep closes the socket if its time is up, and pings a silent client.
func (c *conn) sweep(now time.Time) {
	s := &c.hub.settings
	c.mu.Lock()
	stranger := c.current.generation == 0 && !c.busy
	nobodyFor := now.Sub(c.since)
	c.mu.Unlock()
	if stranger && nobodyFor > s.AuthTimeout {
		c.close(codePolicy, "no AUTH in time")
		return
	}
	silent := now.Sub(time.Unix(0, c.seen.Load()))
	switch {
	case silent >= s.PingInterval && c.out.backlogged():
		// It is busy with what was written, or the transport gives it up soon.
		c.seen.Store(now.UnixNano())
	case silent > s.IdleTimeout:
		c.out.Close()
	case silent >= s.PingInterval && now.Sub(c.pinged) >= s.PingInterval:
		c.pinged = now
		_ = c.ws.WriteControl(websocket.PingMessage, nil, time.Time{})
	}
}

// close tells the client why and closes the socket, at once. The reader does
// the rest.
func (c *conn) close(code int, reason string) {
	const most = 123 // bytes, what a close frame holds
	if len(reason) > most {
		reason = reason[:most]
		for !utf8.ValidString(reason) && reason != "" {
			reason = reason[:len(reason)-1]
		}
	}
	reason = strings.ToValidUTF8(reason, "")
	_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Time{})
	c.out.Close()
}

// detach ends the attachment of a socket that has ended.
func (c *conn) detach() {
	c.mu.Lock()
	current := c.current
	c.current, c.auth = attachment{}, ""
	c.mu.Unlock()
	if current.generation != 0 && c.hub.unattach(current) {
		c.hub.host.Detach(current.receiver, current.generation)
	}
}
