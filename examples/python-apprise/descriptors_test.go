package pythonapprise

import (
	"bytes"
	"context"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"mpush/sdk/pluginpb"
)

var update = flag.Bool("update", false, "copy the protocol and write mpush_plugin.binpb anew")

const (
	protocol    = "proto/plugin.proto"
	descriptors = "mpush_plugin.binpb"
)

func TestProtocolIsTheCurrentOne(t *testing.T) {
	want, err := os.ReadFile("../../sdk/pluginpb/plugin.proto")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(protocol, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(protocol); err != nil || !bytes.Equal(got, want) {
		t.Error("proto/plugin.proto is not the protocol's (go test ./examples/python-apprise -run Current -update)", err)
	}
	code, err := os.ReadFile("mpush_plugin.py")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{pluginpb.CookieKey, pluginpb.CookieValue} {
		if !strings.Contains(string(code), `"`+word+`"`) {
			t.Errorf("mpush_plugin.py lacks the cookie %s", word)
		}
	}
}

func TestDescriptorsAreTheCurrentOnes(t *testing.T) {
	compiler := protocompile.Compiler{Resolver: &protocompile.SourceResolver{ImportPaths: []string{"proto"}}}
	files, err := compiler.Compile(context.Background(), "plugin.proto", "controller.proto", "health.proto")
	if err != nil {
		t.Fatal(err)
	}
	var want, got descriptorpb.FileDescriptorSet
	for _, file := range files {
		want.File = append(want.File, protoutil.ProtoFromFileDescriptor(file))
	}
	if *update {
		text, err := proto.MarshalOptions{Deterministic: true}.Marshal(&want)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(descriptors, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(descriptors)
	if err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(text, &got); err != nil || !proto.Equal(&got, &want) {
		t.Error("mpush_plugin.binpb is not made from proto/ (go test ./examples/python-apprise -run Current -update)", err)
	}
}
