package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"

	"mpush/sdk/pluginpb"
)

// serve does go-plugin's handshake, one line on stdout, and serves until stdin
// ends, which the core holds open for as long as it wants the plugin.
func serve(v vice) error {
	// The directory is the one place where the core accepts a socket.
	socket := filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "evil")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	// A frame of the core's has room, one of ours is as large as it likes.
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{encoding.GetCodecV2(proto.Name)}))
	pluginpb.RegisterPluginServer(server, &channel{vice: v, started: make(chan struct{})})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Printf("1|%d|unix|%s|grpc|\n", pluginpb.ProtocolVersion, socket)
	return server.Serve(listener)
}

// raw is a message as it goes over the wire, whatever it may mean.
type raw []byte

// rawCodec is gRPC's own but for raw messages.
type rawCodec struct{ encoding.CodecV2 }

func (c rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	if bytes, is := v.(raw); is {
		return mem.BufferSlice{mem.SliceBuffer(bytes)}, nil
	}
	return c.CodecV2.Marshal(v)
}
