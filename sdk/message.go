package sdk

import "sync"

// Message is what a sender sent.
type Message struct {
	MID        int64
	SendType   SendType
	Target     string // the receiver's name or the group's
	FromMethod string // the ingress channel's name
	FromName   string // the authenticated sender, or ""
	Text       string
	Desp       string
	Extra      []byte // a JSON object, never empty

	packet func() []byte
}

// Packet returns the mpush MESSAGE packet. It is made once and shared by all
// deliveries of the message: do not change it.
func (m *Message) Packet() []byte { return m.packet() }

var _ = sync.OnceValue[[]byte]
