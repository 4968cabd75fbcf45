package message

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// maxTTL is the longest time that a sender's own is looked at, in seconds.
const maxTTL = 100 * 365 * 24 * 60 * 60

// TTL is how long the sender gives its message, in milliseconds: the
// member ttl of extra, whole seconds as a number or as digits; 0 for none. What
// is no such time is the receivers' affair alone.
func TTL(extra []byte) int64 {
	if !bytes.Contains(extra, []byte(`"ttl"`)) {
		return 0
	}
	var members map[string]json.RawMessage // a struct would take "TTL", too
	if json.Unmarshal(extra, &members) != nil {
		return 0
	}
	var given any
	if json.Unmarshal(members["ttl"], &given) != nil {
		return 0
	}
	text, isText := given.(string)
	if number, isNumber := given.(float64); isNumber {
		text = strconv.FormatFloat(number, 'f', -1, 64)
	} else if !isText {
		return 0
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds <= 0 || seconds > maxTTL {
		return 0
	}
	return seconds * 1000
}
