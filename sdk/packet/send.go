package packet

import (
	"errors"

	"github.com/tidwall/gjson"
)

// Send is what a sender asks for.
type Send struct {
	SendType string // Personal or Group
	Target   string // a valid name
	Text     string // "" if none was given
	Desp     string // "" if none was given
	Extra    []byte // a JSON object as it was sent; empty stands for {}
	// IdempotencyKey is the sender's own name for the message, "" for none.
	IdempotencyKey string
}

// ParseSend reads the data of a MESSAGE packet from a sender. Extra is a part
// of data.
func ParseSend(data []byte) (Send, error) {
	o, ok := object(data)
	if !ok {
		return Send{}, errNoObject
	}
	var sendType, target, message, key gjson.Result
	o.ForEach(func(name, value gjson.Result) bool {
		switch name.Str {
		case "idempotencyKey":
			key = value
		case "sendType":
			sendType = value
		case "target":
			target = value
		case "message":
			message = value
		}
		return true
	})
	var s Send
	switch sendType.Str {
	case Personal, Group:
		s.SendType = sendType.Str
	default:
		return Send{}, errors.New(`data.sendType: expected "personal" or "group"`)
	}
	var err error
	if s.Target, err = text("data.target", target); err != nil {
		return Send{}, err
	}
	if err = CheckName("data.target", s.Target); err != nil {
		return Send{}, err
	}
	if s.IdempotencyKey, err = text("data.idempotencyKey", key); err != nil {
		return Send{}, err
	}
	if !message.IsObject() {
		return Send{}, errors.New("data.message: expected an object")
	}
	var title, desp gjson.Result
	message.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "text":
			title = value
		case "desp":
			desp = value
		case "extra":
			s.Extra = nil
			if value.IsObject() {
				s.Extra = part(data, value)
			}
		}
		return true
	})
	if s.Text, err = text("data.message.text", title); err != nil {
		return Send{}, err
	}
	if s.Desp, err = text("data.message.desp", desp); err != nil {
		return Send{}, err
	}
	return s, nil
}

// ParseFlat reads the flat form of a send, an object whose text and desp (or
// title, where text is absent) are the message's and whose other members are
// its extra. It must be what Parse returned ErrNoCommand for. SendType and
// Target stay empty.
func ParseFlat(body []byte) (Send, error) {
	o, ok := object(body)
	if !ok {
		return Send{}, errors.New("expected a JSON object")
	}
	var given, desp, title gjson.Result
	o.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "text":
			given = value
		case "desp":
			desp = value
		case "title":
			title = value
		}
		return true
	})
	titled := given.Type == gjson.Null
	var s Send
	var err error
	if titled {
		s.Text, err = text("title", title)
	} else {
		s.Text, err = text("text", given)
	}
	if err != nil {
		return Send{}, err
	}
	if s.Desp, err = text("desp", desp); err != nil {
		return Send{}, err
	}
	o.ForEach(func(key, value gjson.Result) bool {
		isExtra := key.Str != "text" && key.Str != "desp" && (key.Str != "title" || !titled)
		if isExtra {
			s.Extra = appendMember(s.Extra, key, value)
		}
		return true
	})
	if s.Extra != nil {
		s.Extra = append(s.Extra, '}')
	}
	return s, nil
}

// appendMember appends a member, as it stands in its document, to an object
// that is still open. The first one opens it.
func appendMember(object []byte, key, value gjson.Result) []byte {
	separator := byte(',')
	if object == nil {
		separator = '{'
	}
	object = append(object, separator)
	object = append(object, key.Raw...)
	object = append(object, ':')
	return append(object, value.Raw...)
}
