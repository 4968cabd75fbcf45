package packet

import (
	"bytes"
	"errors"
	"unicode/utf16"
	"unicode/utf8"
)

// What follows reads JSON that Check has passed, without checking it again.

// object walks over the members of a JSON object.
type object struct {
	b []byte
	i int
}

// openObject returns the members of raw; ok is false if it is no object.
func openObject(raw []byte) (o object, ok bool) {
	i := space(raw, 0)
	if i >= len(raw) || raw[i] != '{' {
		return object{}, false
	}
	return object{b: raw, i: i + 1}, true
}

// next returns the next member: its key decoded, its value as it stands there,
// and the whole of both. ok is false at the end.
func (o *object) next() (key, value, member []byte, ok bool) {
	b, i := o.b, space(o.b, o.i)
	if i < len(b) && b[i] == ',' {
		i = space(b, i+1)
	}
	if i >= len(b) || b[i] != '"' {
		return nil, nil, nil, false
	}
	begin, end := i, skipString(b, i)
	key = plain(b[begin:end])
	i = space(b, end)
	i = space(b, i+1) // the colon
	o.i = skipValue(b, i)
	return key, b[i:o.i], b[begin:o.i], true
}

func skipString(b []byte, i int) int {
	for i++; i < len(b) && b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return min(i+1, len(b))
}

func skipValue(b []byte, i int) int {
	if i < len(b) && b[i] == '"' {
		return skipString(b, i)
	}
	for open := 0; i < len(b); {
		switch b[i] {
		case '"':
			i = skipString(b, i)
			continue
		case '{', '[':
			open++
		case '}', ']':
			if open == 0 {
				return i
			}
			if open--; open == 0 {
				return i + 1
			}
		case ',', ' ', '\n', '\r', '\t':
			if open == 0 {
				return i
			}
		}
		i++
	}
	return i
}

// isNull reports whether a member was not given, or given as null.
func isNull(raw []byte) bool {
	return len(raw) == 0 || raw[0] == 'n'
}

// isObject reports whether raw is an object.
func isObject(raw []byte) bool {
	return len(raw) > 0 && raw[0] == '{'
}

// scalar returns the text of a value that should be one: a string's content,
// the JSON text of a number or a boolean, nothing for null. ok is false for an
// object or an array. The result may be a part of raw.
func scalar(raw []byte) (text []byte, ok bool) {
	switch {
	case isNull(raw):
		return nil, true
	case raw[0] == '{' || raw[0] == '[':
		return nil, false
	case raw[0] == '"':
		return plain(raw), true
	}
	return raw, true
}

// text returns a scalar as a string, or an error that names the place.
func text(place string, raw []byte) (string, error) {
	s, ok := scalar(raw)
	if !ok {
		return "", errors.New(place + ": expected a string")
	}
	return string(s), nil
}

// plain returns the content of a JSON string. It is a part of quoted where
// nothing was escaped.
func plain(quoted []byte) []byte {
	s := quoted[1 : len(quoted)-1]
	i := bytes.IndexByte(s, '\\')
	if i < 0 {
		return s
	}
	out := append(make([]byte, 0, len(s)), s[:i]...)
	for i < len(s) {
		if s[i] != '\\' {
			out = append(out, s[i])
			i++
			continue
		}
		c := s[i+1]
		i += 2
		switch c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := hexRune(s[i:])
			i += 4
			if utf16.IsSurrogate(r) {
				pair := utf8.RuneError
				if i+6 <= len(s) && s[i] == '\\' && s[i+1] == 'u' {
					pair = utf16.DecodeRune(r, hexRune(s[i+2:]))
				}
				if r = pair; pair != utf8.RuneError {
					i += 6
				}
			}
			out = utf8.AppendRune(out, r)
		default: // the quote, the backslash, the slash
			out = append(out, c)
		}
	}
	return out
}

// hexRune reads four hexadecimal digits.
func hexRune(s []byte) (r rune) {
	for _, c := range s[:4] {
		r = r<<4 | hexValue(c)
	}
	return r
}
