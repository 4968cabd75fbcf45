package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"mpush/sdk"
)

// object is a payload that is more than a text.
type object struct {
	Text  string                     `json:"text"`
	Desp  string                     `json:"desp"`
	Extra map[string]json.RawMessage `json:"extra"`
	// ID is what the sender calls the message by: the same id is the same message.
	ID string `json:"id"`
}

// read fills in what a payload says.
func read(message *sdk.Publish, topic string, payload []byte, isJSON bool) error {
	o := object{Text: string(payload)}
	if isJSON {
		o = object{}
		if err := json.Unmarshal(bytes.ToValidUTF8(payload, []byte("\uFFFD")), &o); err != nil {
			return errors.New("the payload is no JSON object with text, desp, extra and id")
		}
	}
	if o.Extra == nil {
		o.Extra = make(map[string]json.RawMessage)
	}
	if _, given := o.Extra["topic"]; !given {
		o.Extra["topic"], _ = json.Marshal(topic) // a string
	}
	extra, err := json.Marshal(o.Extra)
	if err != nil {
		return err
	}
	message.Text = strings.ToValidUTF8(o.Text, "\uFFFD")
	message.Desp = o.Desp
	message.Extra = extra
	message.IdempotencyKey = o.ID
	return nil
}
