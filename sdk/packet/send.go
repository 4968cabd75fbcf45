package packet

import "errors"

// Send is what a sender asks for.
type Send struct {
	SendType string // Personal or Group
	Target   string // a valid name
	Text     string
	Desp     string
	Extra    []byte // a JSON object as it was sent; empty stands for {}
}

// ParseSend reads the data of a MESSAGE packet from a sender. Extra is a part
// of data.
func ParseSend(data []byte) (Send, error) {
	o, ok := openObject(data)
	if !ok {
		return Send{}, errNoObject
	}
	var sendType, target, message []byte
	for {
		key, value, _, ok := o.next()
		if !ok {
			break
		}
		switch string(key) {
		case "sendType":
			sendType = value
		case "target":
			target = value
		case "message":
			message = value
		}
	}
	var s Send
	switch word, _ := scalar(sendType); string(word) {
	case Personal:
		s.SendType = Personal
	case Group:
		s.SendType = Group
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
	return s, s.parseMessage(message)
}

func (s *Send) parseMessage(message []byte) error {
	o, ok := openObject(message)
	if !ok {
		return errors.New("data.message: expected an object")
	}
	var title, desp, extra []byte
	for {
		key, value, _, ok := o.next()
		if !ok {
			break
		}
		switch string(key) {
		case "text":
			title = value
		case "desp":
			desp = value
		case "extra":
			extra = value
		}
	}
	var err error
	if s.Text, err = text("data.message.text", title); err != nil {
		return err
	}
	if s.Desp, err = text("data.message.desp", desp); err != nil {
		return err
	}
	if isObject(extra) {
		s.Extra = extra
	}
	return nil
}

// ParseFlat reads the flat form of a send, an object whose text and desp (or
// title, where text is absent) are the message's and whose other members are
// its extra. It must be what Parse returned ErrNoCommand for. SendType and
// Target stay empty.
func ParseFlat(body []byte) (Send, error) {
	o, ok := openObject(body)
	if !ok {
		return Send{}, errors.New("expected a JSON object")
	}
	var textRaw, despRaw, titleRaw []byte
	rest := 0
	for {
		key, value, _, ok := o.next()
		if !ok {
			break
		}
		switch string(key) {
		case "text":
			textRaw = value
		case "desp":
			despRaw = value
		case "title":
			titleRaw = value
		default:
			rest++
		}
	}
	var s Send
	var err error
	titled := isNull(textRaw)
	if titled {
		s.Text, err = text("title", titleRaw)
	} else {
		s.Text, err = text("text", textRaw)
	}
	if err != nil {
		return Send{}, err
	}
	if s.Desp, err = text("desp", despRaw); err != nil {
		return Send{}, err
	}
	if rest > 0 || !titled && titleRaw != nil {
		s.Extra = flatExtra(body, titled)
	}
	return s, nil
}

// flatExtra is body without the members that are not extra.
func flatExtra(body []byte, titled bool) []byte {
	extra := append(make([]byte, 0, len(body)), '{')
	o, _ := openObject(body)
	for {
		key, _, member, ok := o.next()
		if !ok {
			return append(extra, '}')
		}
		switch string(key) {
		case "text", "desp":
			continue
		case "title":
			if titled {
				continue
			}
		}
		if len(extra) > 1 {
			extra = append(extra, ',')
		}
		extra = append(extra, member...)
	}
}
