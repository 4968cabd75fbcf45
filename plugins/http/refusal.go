package http

import (
	"bytes"
	"fmt"
	"net"
	"strings"

	"mpush/sdk/packet"
)

// refusals makes every answer of this channel a packet: what net/http refuses by
// itself, before a handler sees it, it answers in plain text.
type refusals struct{ net.Listener }

// Accept returns the next connection.
func (l refusals) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &refusing{conn}, nil
}

type refusing struct{ net.Conn }

// plainHeader is in such an answer and in no other: net/http writes it with one
// call, past its own buffer, and closes the connection.
var plainHeader = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")

// Write passes on what a handler has written, and puts a packet in the place of
// a plain refusal.
func (c *refusing) Write(b []byte) (int, error) {
	head, text, plain := bytes.Cut(b, plainHeader)
	if !plain || !bytes.HasPrefix(head, []byte("HTTP/1.1 ")) || bytes.ContainsRune(head, '\r') {
		return c.Conn.Write(b)
	}
	reason := strings.ToValidUTF8(string(text), "")
	if _, after, found := strings.Cut(reason, ": "); found {
		reason = after // without the status, which the first line has
	}
	info := packet.AppendInfo(nil, "not a proper HTTP request: "+reason)
	answer := fmt.Appendf(nil, "%s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", head, contentType, len(info), info)
	if _, err := c.Conn.Write(answer); err != nil {
		return 0, err
	}
	return len(b), nil
}

// CloseWrite lets net/http end its side first, so that an early answer is read
// and not lost in a reset.
func (c *refusing) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
