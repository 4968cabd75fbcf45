package control

import (
	"encoding/json"
	"io"
	"net/http"

	"mpush/core/message"
	"mpush/core/record"
)

// Bounds of a page of dead letters. It ends with the message that brings it to
// maxPage bytes; a message is not parted from its letters, of which a large group
// has many.
const (
	defaultLetters = 100
	mostLetters    = 1000
	maxPage        = 4 << 20
)

func (s *Server) dead(r *http.Request) (any, error) {
	query := r.URL.Query()
	var below message.MID
	var err error
	if text := query.Get("below"); text != "" && text != "0" {
		if below, err = parseMID(text); err != nil {
			return nil, err
		}
	}
	var limit int
	if limit, err = limitOf(query.Get("limit"), defaultLetters, mostLetters); err != nil {
		return nil, err
	}
	page := letterPage{}
	if page.letters, err = s.Store.Dead(r.Context(), query.Get("receiver"), below, limit); err != nil {
		return nil, err
	}
	if len(page.letters) > 0 {
		last := page.letters[len(page.letters)-1].MID
		more, err := s.Store.Dead(r.Context(), query.Get("receiver"), last, 1)
		if err != nil {
			return nil, err
		}
		if len(more) > 0 {
			page.below = MID(last)
		}
	}
	return page, nil
}

// letterPage are DeadLetters that were read, and are written letter by letter:
// each has the whole message in it, and all of them together need not fit into
// memory.
type letterPage struct {
	letters []record.Queued
	below   MID
}

// write implements streamed.
func (p letterPage) write(w io.Writer) error {
	below, written := p.below, 0
	var text []byte // the message of this letter, which is often that of the one before
	if _, err := io.WriteString(w, `{"letters":[`); err != nil {
		return err
	}
	for i := range p.letters {
		l := &p.letters[i]
		if i == 0 || l.MID != p.letters[i-1].MID {
			if written >= maxPage {
				below = MID(p.letters[i-1].MID)
				break
			}
			var err error
			if text, err = marshal(messageOf(l.Message)); err != nil {
				return err
			}
		}
		delivery, err := marshal(deliveryOf(&l.Item))
		if err != nil {
			return err
		}
		opening := `{"message":`
		if i > 0 {
			opening = "," + opening
		}
		for _, part := range [][]byte{[]byte(opening), text, []byte(`,"delivery":`), delivery, []byte("}")} {
			n, err := w.Write(part)
			if err != nil {
				return err
			}
			written += n
		}
	}
	end, err := marshal(below)
	if err != nil {
		return err
	}
	_, err = w.Write(append(append([]byte(`],"below":`), end...), "}\n"...))
	return err
}

// decode reads them letter by letter. Letters of one message share its text.
func (d *DeadLetters) decode(from *json.Decoder) error {
	if _, err := from.Token(); err != nil { // {
		return err
	}
	for from.More() {
		name, err := from.Token()
		if err != nil {
			return err
		}
		switch name {
		case "letters":
			err = d.decodeLetters(from)
		case "below":
			err = from.Decode(&d.Below)
		default:
			err = from.Decode(new(json.RawMessage))
		}
		if err != nil {
			return err
		}
	}
	_, err := from.Token() // }
	return err
}

func (d *DeadLetters) decodeLetters(from *json.Decoder) error {
	if _, err := from.Token(); err != nil { // [
		return err
	}
	d.Letters = []DeadLetter{}
	for from.More() {
		var l DeadLetter
		if err := from.Decode(&l); err != nil {
			return err
		}
		if n := len(d.Letters); n > 0 && d.Letters[n-1].Message.MID == l.Message.MID {
			l.Message = d.Letters[n-1].Message
		}
		d.Letters = append(d.Letters, l)
	}
	_, err := from.Token() // ]
	return err
}
