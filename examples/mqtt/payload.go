package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"mpush/sdk"
)

// object is a payload that is more than a text.
type object struct {
	Text  string                     `json:"text"`
	Desp  string                     `json:"desp"`
	Extra map[string]json.RawMessage `json:"extra"`
	// ID is what the sender calls the message by: what comes again with it is the
	// same message.
	ID string `json:"id"`
}

// read fills in what a payload says. id is what its sender calls it by, if it
// does.
func read(message *sdk.Publish, topic string, payload []byte, isJSON bool) (id string, err error) {
	o := object{Text: string(payload)}
	if isJSON {
		o = object{}
		if err := json.Unmarshal(bytes.ToValidUTF8(payload, []byte("\uFFFD")), &o); err != nil {
			return "", errors.New("the payload is no JSON object with text, desp, extra and id")
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
		return "", err
	}
	message.Text = strings.ToValidUTF8(o.Text, "\uFFFD")
	message.Desp = o.Desp
	message.Extra = extra
	return o.ID, nil
}

// keyOf makes a key of a message's id. Devices count from 1, each by itself and
// again after a restart, and the relay refuses a key that another message had.
func keyOf(broker, topic, id string, m sdk.Publish) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %d %q %q %q %s", broker, topic, id, m.SendType, m.Target, m.Text, m.Desp, m.Extra))
	return "mqtt " + hex.EncodeToString(sum[:])
}
