package sdk

import (
	"strconv"
	"sync"

	"mpush/sdk/packet"
	"mpush/sdk/pluginpb"
)

// Message is what a sender sent. It is shared by all its deliveries: read it
// only.
type Message struct {
	MID        int64    // unique, increasing; equal in each delivery of the message
	SendType   SendType // what Target names
	Target     string   // the receiver's name or the group's
	FromMethod string   // the ingress channel's name
	FromName   string   // the authenticated sender, or ""
	Text       string   // the message's title or whole text
	Desp       string   // more of it, often Markdown; "" is none
	Extra      []byte   // a JSON object, never empty

	once   sync.Once
	packet []byte
}

func newMessage(m *pluginpb.Message) *Message {
	extra := m.GetExtra()
	if len(extra) == 0 {
		extra = []byte("{}")
	}
	return &Message{
		MID:        m.GetMid(),
		SendType:   m.GetSendType(),
		Target:     m.GetTarget(),
		FromMethod: m.GetFromMethod(),
		FromName:   m.GetFromName(),
		Text:       m.GetText(),
		Desp:       m.GetDesp(),
		Extra:      extra,
	}
}

// Packet returns the mpush MESSAGE packet, one line of JSON. It is made once
// and shared by all deliveries of the message: do not change it.
func (m *Message) Packet() []byte {
	m.once.Do(func() {
		sendType := packet.Personal
		if m.SendType == Group {
			sendType = packet.Group
		}
		size := 160 + len(m.Target) + len(m.FromMethod) + len(m.FromName) + len(m.Text) + len(m.Desp) + len(m.Extra)
		made := packet.AppendMessage(make([]byte, 0, size), packet.Message{
			Mid:        strconv.FormatInt(m.MID, 10),
			SendType:   sendType,
			Target:     m.Target,
			FromMethod: m.FromMethod,
			FromName:   m.FromName,
			Text:       m.Text,
			Desp:       m.Desp,
			Extra:      m.Extra,
		})
		m.packet = made[:len(made):len(made)] // appending to it copies
	})
	return m.packet
}
