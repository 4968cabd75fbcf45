// Package message owns what a message is: its fields, its id and the words for
// what became of it. It knows nothing of queues, storage or channels; every
// other core package may import it.
package message

import (
	"strconv"
	"unicode/utf8"
)

// MID identifies a message: unique and strictly increasing for the life of a
// data directory. It resembles Unix milliseconds because receivers show it as
// a date, but it is an identity and may run ahead of the clock.
type MID int64

// String is the decimal form that packets carry.
func (m MID) String() string { return strconv.FormatInt(int64(m), 10) }

// SendType says what a message's target names.
type SendType uint8

const (
	// Personal: the target is a receiver's name.
	Personal SendType = 1 + iota
	// Group: the target is a group's name.
	Group
)

// Message is what a sender sent. It is immutable once accepted and may be
// shared between goroutines.
type Message struct {
	MID        MID
	SendType   SendType
	Target     string
	FromMethod string // the ingress channel's name
	FromName   string // the authenticated sender, or ""
	Text       string
	Desp       string
	Extra      []byte // a JSON object; empty stands for {}
	AcceptedAt int64  // Unix milliseconds
	ExpiresAt  int64  // Unix milliseconds; 0 never
}

// Size is the number of bytes that count against the limits.
func (m *Message) Size() int {
	return len(m.Target) + len(m.FromMethod) + len(m.FromName) + len(m.Text) + len(m.Desp) + len(m.Extra)
}

// MaxSize is the largest Size of a message that is accepted.
const MaxSize = 1 << 20

// MaxNameBytes bounds names and groups.
const MaxNameBytes = 256

// ValidName reports whether s can name a receiver or a group: 1 to
// MaxNameBytes bytes of UTF-8 without control characters.
func ValidName(s string) bool {
	if s == "" || len(s) > MaxNameBytes || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r < 0x20 || r >= 0x7f && r <= 0x9f {
			return false
		}
	}
	return true
}
