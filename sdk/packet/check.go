package packet

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// MaxDepth is how deep objects and arrays of a packet may nest, the packet
// itself being the first level.
const MaxDepth = 64

// MaxNameBytes bounds the names of receivers and groups.
const MaxNameBytes = 256

var (
	errNotUTF8 = errors.New("not valid UTF-8")
	errTooDeep = errors.New("nested deeper than " + strconv.Itoa(MaxDepth) + " levels")
)

// Check reports whether b is one JSON value in UTF-8 that nests no deeper than
// MaxDepth. Its cost is linear in len(b), whatever b holds.
func Check(b []byte) error {
	switch {
	case !utf8.Valid(b):
		return errNotUTF8
	case tooDeep(b):
		return errTooDeep
	case !json.Valid(b):
		return syntaxError(b)
	}
	return nil
}

// tooDeep counts the brackets that are open at once, outside of strings.
func tooDeep(b []byte) bool {
	open, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case quoted:
		case c == '{' || c == '[':
			if open++; open > MaxDepth {
				return true
			}
		case c == '}' || c == ']':
			open--
		}
	}
	return false
}

// syntaxError tells where b, which is not JSON, goes wrong.
func syntaxError(b []byte) error {
	// With a byte after it that fits nowhere, what merely ends too early goes
	// wrong at that byte.
	var value json.RawMessage
	err := json.Unmarshal(append(b[:len(b):len(b)], 0), &value)
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	if !ok || syntax.Offset > int64(len(b)) {
		return errors.New("not JSON: it ends too early")
	}
	r, _ := utf8.DecodeRune(b[syntax.Offset-1:])
	return fmt.Errorf("not JSON: unexpected %q at byte %d", r, syntax.Offset)
}

// CheckName reports whether name can name a receiver or a group: 1 to
// MaxNameBytes bytes of UTF-8 without control characters. The error begins
// with place.
func CheckName(place, name string) error {
	switch {
	case name == "":
		return errors.New(place + ": expected a name, not nothing")
	case len(name) > MaxNameBytes:
		return fmt.Errorf("%s: longer than %d bytes", place, MaxNameBytes)
	case !utf8.ValidString(name):
		return errors.New(place + ": not valid UTF-8")
	}
	for _, r := range name {
		if r < 0x20 || r >= 0x7f && r <= 0x9f {
			return errors.New(place + ": control characters are not allowed")
		}
	}
	return nil
}
