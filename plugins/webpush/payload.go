package webpush

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"mpush/sdk"
	"mpush/sdk/packet"
)

const (
	// maxRecord is the largest body that every push service takes (RFC 8030,
	// section 7.2).
	maxRecord = 4096
	// overhead is what a body has beside the payload (RFC 8291, section 4): the
	// header of 86 bytes (RFC 8188, section 2.1: salt 16, record size 4, key
	// length 1, key 65), at least one byte of padding, and the tag of 16.
	overhead = 86 + 1 + 16
	// recordStep: bodies are padded to a multiple of this, which hides the
	// payload's length, and no more, since the service for one browser on
	// Android takes 3070 bytes only, whatever the payload.
	recordStep = 1024
)

// recordFor returns how large a body gets for a payload, at most limit.
func recordFor(payload []byte, limit int) int {
	size := len(payload) + overhead
	return min((size+recordStep-1)/recordStep*recordStep, limit)
}

// fit returns the MESSAGE packet of m in at most room bytes. One that is longer
// loses the end of its desp first, then its extra (and gets back what then fits
// of its desp), then the end of its text; its extra.truncated is true. ok is
// false if not even the rest fits.
//
// The rest is what names the message, below 2 KiB whatever the names: so there
// is a packet for each message in a body of 4096 bytes.
func fit(m *sdk.Message, room int) (payload []byte, ok bool) {
	if whole := m.Packet(); len(whole) <= room {
		return whole, true
	}
	cut := packet.Message{
		Mid:        strconv.FormatInt(m.MID, 10),
		SendType:   packet.Personal,
		Target:     m.Target,
		FromMethod: m.FromMethod,
		FromName:   m.FromName,
		Text:       m.Text,
	}
	if m.SendType == sdk.Group {
		cut.SendType = packet.Group
	}
	if len(m.Extra) <= room {
		cut.Extra = truncated(m.Extra)
		if spare := room - len(packet.AppendMessage(nil, cut)); spare >= 0 {
			cut.Desp = prefix(m.Desp, spare)
			return packet.AppendMessage(nil, cut), true
		}
	}
	cut.Extra = truncated(nil)
	if spare := room - len(packet.AppendMessage(nil, cut)); spare >= 0 {
		cut.Desp = prefix(m.Desp, spare)
		return packet.AppendMessage(nil, cut), true
	}
	cut.Text = ""
	spare := room - len(packet.AppendMessage(nil, cut))
	if spare < 0 {
		return nil, false
	}
	cut.Text = prefix(m.Text, spare)
	return packet.AppendMessage(nil, cut), true
}

// prefix returns the longest beginning of s, in whole characters, that takes at
// most room bytes within a JSON string.
func prefix(s string, room int) string {
	var quoted []byte
	for i := 0; i < len(s); {
		_, width := utf8.DecodeRuneInString(s[i:])
		quoted = packet.AppendString(quoted[:0], s[i:i+width])
		if room -= len(quoted) - len(`""`); room < 0 {
			return s[:i]
		}
		i += width
	}
	return s
}

// truncated returns extra with "truncated": true in it, the other members as
// they are. What is no object becomes one.
func truncated(extra []byte) []byte {
	const mark = `"truncated":true}`
	out := []byte{'{'}
	reader := json.NewDecoder(bytes.NewReader(extra))
	if first, err := reader.Token(); err != nil || first != json.Delim('{') {
		return append(out, mark...)
	}
	for reader.More() {
		var value json.RawMessage
		key, err := reader.Token()
		if err == nil {
			err = reader.Decode(&value)
		}
		name, ok := key.(string)
		if err != nil || !ok {
			return []byte("{" + mark)
		}
		if name == "truncated" {
			continue
		}
		out = packet.AppendString(out, name)
		out = append(out, ':')
		out = append(out, value...)
		out = append(out, ',')
	}
	return append(out, mark...)
}
