package packet

import (
	"bytes"
	"encoding/json"
)

// AppendString appends s as a JSON string, escaped as encoding/json does
// without HTML escaping: control characters, the quote, the backslash, and the
// two line separators that JavaScript once choked on. Invalid UTF-8 becomes
// U+FFFD, since an invalid text frame makes browsers close for good.
func AppendString(dst []byte, s string) []byte {
	if isPlain(s) {
		dst = append(dst, '"')
		dst = append(dst, s...)
		return append(dst, '"')
	}
	out := bytes.NewBuffer(dst)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(s) // any string can be encoded; a line break follows it
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// isPlain tells whether s is its own JSON, as names, mids and statuses are.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
