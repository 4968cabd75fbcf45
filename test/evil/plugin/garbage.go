package main

import (
	"bytes"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"mpush/sdk/pluginpb"
)

// garbage are vices of a plugin that breaks the form of the protocol.
func garbage() map[string]vice {
	return map[string]vice{
		"garbage":      {act: func(x *exchange) error { return x.sendRaw(bytes.Repeat([]byte{0xff}, 100)) }},
		"not-utf8":     {act: sendInvalidText},
		"giant-frame":  {act: sendGiant},
		"full-frame":   {act: sendFull},
		"declare-bomb": {act: sendBomb},
		"closes":       {act: func(*exchange) error { return nil }},
	}
}

// sendRaw sends bytes as a frame, and then behaves as if nothing were amiss.
func (x *exchange) sendRaw(frame raw) error {
	if err := x.stream.SendMsg(frame); err != nil {
		return err
	}
	return x.ignore()
}

// Numbers of fields in plugin.proto.
const (
	frameEnvelopes = 1
	declareBody    = 2
	publishBody    = 3
	publishTarget  = 3
)

func field(number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
}

// sendInvalidText has text that is none.
func sendInvalidText(x *exchange) error {
	return x.sendRaw(field(frameEnvelopes, field(publishBody, field(publishTarget, []byte("\xff\xfe")))))
}

// sendGiant is a frame beyond what a frame may have.
func sendGiant(x *exchange) error {
	err := x.send(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Publish{Publish: &pluginpb.Publish{Text: strings.Repeat("x", 6<<20)}}})
	if err != nil {
		return err
	}
	return x.ignore()
}

// sendFull is a frame of a million empty envelopes: two bytes each here, a
// hundred times as much for who decodes them.
func sendFull(x *exchange) error {
	return x.sendRaw(bytes.Repeat(field(frameEnvelopes, nil), 1_000_000))
}

// sendBomb is one envelope with two million empty routes.
func sendBomb(x *exchange) error {
	return x.sendRaw(field(frameEnvelopes, field(declareBody, bytes.Repeat(field(1, nil), 2_000_000))))
}
