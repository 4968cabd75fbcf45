package link

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// Bounds of what is within a frame. An envelope takes two bytes on the wire and
// a hundred times as much in memory, so that a frame's size alone bounds little.
const (
	maxEnvelopes = 4096    // in a frame
	maxDeclared  = 250_000 // routes, in all Declares of a frame
	maxFields    = 4096    // announced, in all Announces of a frame
)

// Numbers of fields in plugin.proto.
const (
	frameEnvelopes   = 1
	envelopeDeclare  = 2
	envelopeAnnounce = 12
)

// frameCodec is gRPC's own, but refuses a frame before it is decoded if it holds
// more than it may. The stream then ends with the reason.
//
// It serves one stream, whose reader alone may look at size.
type frameCodec struct {
	encoding.CodecV2
	size int // of the last frame, in bytes
}

func newFrameCodec() *frameCodec {
	return &frameCodec{CodecV2: encoding.GetCodecV2(proto.Name)}
}

// Unmarshal decodes a frame.
func (c *frameCodec) Unmarshal(data mem.BufferSlice, v any) error {
	frame := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer frame.Free()
	c.size = frame.Len()
	if err := checkFrame(frame.ReadOnlyData()); err != nil {
		return err
	}
	return c.CodecV2.Unmarshal(mem.BufferSlice{frame}, v)
}

// checkFrame counts what a frame holds. It does not look for other faults:
// decoding does.
func checkFrame(frame []byte) error {
	envelopes, declared, fields := 0, 0, 0
	for env := range members(frame, frameEnvelopes) {
		if envelopes++; envelopes > maxEnvelopes {
			return fmt.Errorf("a frame may hold %d envelopes", maxEnvelopes)
		}
		for declare := range members(env, envelopeDeclare) {
			for range members(declare, 1) {
				if declared++; declared > maxDeclared {
					return fmt.Errorf("a frame may declare %d routes", maxDeclared)
				}
			}
		}
		for announce := range members(env, envelopeAnnounce) {
			for range members(announce, 1) {
				if fields++; fields > maxFields {
					return fmt.Errorf("a frame may announce %d fields", maxFields)
				}
			}
		}
	}
	return nil
}

// members yields the values of a message's field that are messages themselves.
// It ends where the message is malformed.
func members(message []byte, field protowire.Number) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(message) > 0 {
			number, kind, n := protowire.ConsumeTag(message)
			if n < 0 {
				return
			}
			message = message[n:]
			if kind == protowire.BytesType {
				value, n := protowire.ConsumeBytes(message)
				if n < 0 || number == field && !yield(value) {
					return
				}
				message = message[n:]
				continue
			}
			if n = protowire.ConsumeFieldValue(number, kind, message); n < 0 {
				return
			}
			message = message[n:]
		}
	}
}
