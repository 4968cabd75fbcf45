package link

import (
	"bytes"
	"strings"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"mpush/sdk/pluginpb"
)

func field(number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
}

// unmarshal decodes a frame that comes in two pieces, as large ones do.
func unmarshal(codec *frameCodec, wire []byte) (*pluginpb.PluginFrame, error) {
	frame := &pluginpb.PluginFrame{}
	half := len(wire) / 2
	err := codec.Unmarshal(mem.BufferSlice{mem.SliceBuffer(wire[:half]), mem.SliceBuffer(wire[half:])}, frame)
	return frame, err
}

func TestFramesAreDecodedAsTheyAre(t *testing.T) {
	for _, want := range frames() {
		wire, err := proto.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		codec := newFrameCodec()
		got, err := unmarshal(codec, wire)
		if err != nil || !proto.Equal(got, want) || codec.size != len(wire) {
			t.Errorf("got %v, %v, %d bytes\nwant %v, %d bytes", got, err, codec.size, want, len(wire))
		}
	}
}

func TestFramesThatWouldTakeMuchMemoryAreRefused(t *testing.T) {
	routes := func(n int) []byte {
		return field(frameEnvelopes, field(envelopeDeclare, bytes.Repeat(field(1, nil), n)))
	}
	names := func(n int) []byte {
		return field(frameEnvelopes, field(envelopeAnnounce, bytes.Repeat(field(1, nil), n)))
	}
	for _, test := range []struct {
		name string
		wire []byte
		want string // "" passes
	}{
		{"as many envelopes as may be", bytes.Repeat(field(frameEnvelopes, nil), maxEnvelopes), ""},
		{"one more", bytes.Repeat(field(frameEnvelopes, nil), maxEnvelopes+1), "a frame may hold 4096 envelopes"},
		{"as many routes as may be", routes(maxDeclared), ""},
		{"one more", routes(maxDeclared + 1), "a frame may declare 250000 routes"},
		{"in two", append(routes(maxDeclared), routes(1)...), "a frame may declare 250000 routes"},
		{"as many fields as may be", names(maxFields), ""},
		{"one more", names(maxFields + 1), "a frame may announce 4096 fields"},
		{"garbage", bytes.Repeat([]byte{0xff}, 100), "proto"},
		{"garbage within", field(frameEnvelopes, bytes.Repeat([]byte{0xff}, 100)), "proto"},
		{"cut off", []byte{0x0a, 0x05, 0x00}, "proto"},
		{"no text", field(frameEnvelopes, field(3, field(3, []byte("\xff")))), "UTF-8"},
	} {
		_, err := unmarshal(newFrameCodec(), test.wire)
		if err == nil != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func BenchmarkCheckFrame(b *testing.B) {
	frame := &pluginpb.PluginFrame{}
	for range 100 {
		frame.Envelopes = append(frame.Envelopes, publish(1, withToken(), "ann"))
	}
	wire, err := proto.Marshal(frame)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := checkFrame(wire); err != nil {
			b.Fatal(err)
		}
	}
}
