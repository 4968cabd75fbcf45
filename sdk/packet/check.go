package packet

import (
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
	if !utf8.Valid(b) {
		return errNotUTF8
	}
	i, err := checkValue(b, space(b, 0), 1)
	if err != nil {
		return err
	}
	if i = space(b, i); i < len(b) {
		return syntaxError(b, i)
	}
	return nil
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

func syntaxError(b []byte, i int) error {
	if i >= len(b) {
		return errors.New("not JSON: it ends too early")
	}
	r, _ := utf8.DecodeRune(b[i:])
	return fmt.Errorf("not JSON: unexpected %q at byte %d", r, i+1)
}

// checkValue checks the value that begins at b[i] and returns where it ends.
// The recursion is as deep as MaxDepth.
func checkValue(b []byte, i, depth int) (int, error) {
	if i >= len(b) {
		return i, syntaxError(b, i)
	}
	switch c := b[i]; {
	case c == '"':
		return checkString(b, i)
	case c == '{' || c == '[':
		if depth > MaxDepth {
			return i, errTooDeep
		}
		if c == '{' {
			return checkObject(b, i+1, depth)
		}
		return checkArray(b, i+1, depth)
	case c == '-' || '0' <= c && c <= '9':
		return checkNumber(b, i)
	case c == 't':
		return checkWord(b, i, "true")
	case c == 'f':
		return checkWord(b, i, "false")
	case c == 'n':
		return checkWord(b, i, "null")
	}
	return i, syntaxError(b, i)
}

func checkObject(b []byte, i, depth int) (int, error) {
	if i = space(b, i); i < len(b) && b[i] == '}' {
		return i + 1, nil
	}
	for {
		i = space(b, i)
		if i >= len(b) || b[i] != '"' {
			return i, syntaxError(b, i)
		}
		var err error
		if i, err = checkString(b, i); err != nil {
			return i, err
		}
		if i = space(b, i); i >= len(b) || b[i] != ':' {
			return i, syntaxError(b, i)
		}
		if i, err = checkValue(b, space(b, i+1), depth+1); err != nil {
			return i, err
		}
		var more bool
		if i, more, err = checkSeparator(b, i, '}'); !more {
			return i, err
		}
	}
}

func checkArray(b []byte, i, depth int) (int, error) {
	if i = space(b, i); i < len(b) && b[i] == ']' {
		return i + 1, nil
	}
	for {
		var err error
		if i, err = checkValue(b, space(b, i), depth+1); err != nil {
			return i, err
		}
		var more bool
		if i, more, err = checkSeparator(b, i, ']'); !more {
			return i, err
		}
	}
}

// checkSeparator steps over what may follow a member: a comma (more) or the
// closing bracket.
func checkSeparator(b []byte, i int, closing byte) (end int, more bool, err error) {
	i = space(b, i)
	switch {
	case i < len(b) && b[i] == ',':
		return i + 1, true, nil
	case i < len(b) && b[i] == closing:
		return i + 1, false, nil
	}
	return i, false, syntaxError(b, i)
}

func checkString(b []byte, i int) (int, error) {
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1, nil
		case c < 0x20:
			return i, syntaxError(b, i)
		case c == '\\':
			i++
			if i >= len(b) {
				return i, syntaxError(b, i)
			}
			switch b[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				for range 4 {
					i++
					if i >= len(b) || hexValue(b[i]) < 0 {
						return i, syntaxError(b, i)
					}
				}
			default:
				return i, syntaxError(b, i)
			}
		}
	}
	return i, syntaxError(b, i)
}

func checkNumber(b []byte, i int) (int, error) {
	if b[i] == '-' {
		i++
	}
	switch {
	case i < len(b) && b[i] == '0':
		i++
	default:
		end := digits(b, i)
		if end == i {
			return i, syntaxError(b, i)
		}
		i = end
	}
	if i < len(b) && b[i] == '.' {
		end := digits(b, i+1)
		if end == i+1 {
			return end, syntaxError(b, end)
		}
		i = end
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		end := digits(b, i)
		if end == i {
			return i, syntaxError(b, i)
		}
		i = end
	}
	return i, nil
}

func checkWord(b []byte, i int, word string) (int, error) {
	for k := range len(word) {
		if i+k >= len(b) || b[i+k] != word[k] {
			return i + k, syntaxError(b, i+k)
		}
	}
	return i + len(word), nil
}

// digits returns the end of the decimal digits at b[i].
func digits(b []byte, i int) int {
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	return i
}

// space returns the end of the white space at b[i].
func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

func hexValue(c byte) rune {
	switch {
	case '0' <= c && c <= '9':
		return rune(c - '0')
	case 'a' <= c && c <= 'f':
		return rune(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return rune(c-'A') + 10
	}
	return -1
}
