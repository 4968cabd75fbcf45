package packet

import (
	"bytes"
	"encoding/json"
)

// The words of sendType.
const (
	Personal = "personal" // the target is a receiver's name
	Group    = "group"    // the target is a group's name
)

// Message is what a MESSAGE packet tells a receiver.
type Message struct {
	Mid        string // decimal digits
	SendType   string // Personal or Group
	Target     string // a receiver's name or a group's
	FromMethod string // the channel that the message came in by
	FromName   string // the authenticated sender, or ""
	Text       string // UTF-8
	Desp       string // likewise
	Extra      []byte // a JSON object; empty stands for {}
}

// AppendMessage appends the MESSAGE packet for m to dst and returns the
// extended slice. Extra must be valid JSON and is passed on byte by byte, so
// that numbers keep their digits; only line breaks between its values are
// taken out, which keeps the packet on one line.
func AppendMessage(dst []byte, m Message) []byte {
	dst = append(dst, `{"cmd":"MESSAGE","data":{"sendType":`...)
	dst = AppendString(dst, m.SendType)
	dst = append(dst, `,"target":`...)
	dst = AppendString(dst, m.Target)
	dst = append(dst, `,"from":{"method":`...)
	dst = AppendString(dst, m.FromMethod)
	dst = append(dst, `,"name":`...)
	dst = AppendString(dst, m.FromName)
	dst = append(dst, `},"mid":`...)
	dst = AppendString(dst, m.Mid)
	dst = append(dst, `,"message":{"text":`...)
	dst = AppendString(dst, m.Text)
	dst = append(dst, `,"desp":`...)
	dst = AppendString(dst, m.Desp)
	dst = append(dst, `,"extra":`...)
	dst = appendExtra(dst, m.Extra)
	return append(dst, `}}}`...)
}

func appendExtra(dst, extra []byte) []byte {
	if len(extra) == 0 {
		return append(dst, `{}`...)
	}
	if bytes.IndexByte(extra, '\n') < 0 && bytes.IndexByte(extra, '\r') < 0 {
		return append(dst, extra...)
	}
	var line bytes.Buffer
	if json.Compact(&line, extra) != nil {
		return append(dst, `{}`...)
	}
	return append(dst, line.Bytes()...)
}
