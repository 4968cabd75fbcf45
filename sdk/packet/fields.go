package packet

import (
	"errors"

	"github.com/tidwall/gjson"
)

// What follows reads JSON that Check has passed. gjson's ForEach goes through
// an object's members in order and keeps apart keys that differ in case; an
// absent member is the zero Result, which is null.

// object reads raw, which it copies: no text of the result is a part of raw. ok
// is false if raw is no object.
func object(raw []byte) (o gjson.Result, ok bool) {
	o = gjson.ParseBytes(raw)
	return o, o.IsObject()
}

// part is the value as it stands in raw, which object was called with.
func part(raw []byte, value gjson.Result) []byte {
	end := value.Index + len(value.Raw)
	return raw[value.Index:end:end]
}

// text returns what stands where a text should: a string's content, the JSON
// text of a number or a boolean, nothing for null. For an object or an array it
// is an error that names the place.
func text(place string, value gjson.Result) (string, error) {
	switch value.Type {
	case gjson.Null:
		return "", nil
	case gjson.String:
		return value.Str, nil
	case gjson.JSON:
		return "", errors.New(place + ": expected a string")
	default:
		return value.Raw, nil
	}
}
