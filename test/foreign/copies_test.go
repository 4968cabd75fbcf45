package foreign

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

var update = flag.Bool("update", false, "make the examples' copies of the protocol anew")

const (
	node   = "../../examples/node-slack/"
	python = "../../examples/python-apprise/"
)

func TestCopiesOfTheProtocolAreCurrent(t *testing.T) {
	want := read(t, "../../sdk/pluginpb/plugin.proto")
	for _, copied := range []string{node + "proto/plugin.proto", python + "proto/plugin.proto"} {
		if *update {
			write(t, copied, want)
		}
		if !bytes.Equal(read(t, copied), want) {
			t.Errorf("%s is not sdk/pluginpb/plugin.proto: run make proto", copied)
		}
	}
	for _, file := range []string{"health.proto", "controller.proto"} {
		if !bytes.Equal(read(t, node+"proto/"+file), read(t, python+"proto/"+file)) {
			t.Errorf("the examples' %s differ", file)
		}
	}
}

func TestCopiesOfTheDescriptorsAreCurrent(t *testing.T) {
	compiler := protocompile.Compiler{Resolver: &protocompile.SourceResolver{ImportPaths: []string{python + "proto"}}}
	files, err := compiler.Compile(context.Background(), "plugin.proto", "controller.proto", "health.proto")
	if err != nil {
		t.Fatal(err)
	}
	var want, got descriptorpb.FileDescriptorSet
	for _, file := range files {
		want.File = append(want.File, protoutil.ProtoFromFileDescriptor(file))
	}
	const descriptors = python + "mpush_plugin.binpb"
	if *update {
		text, err := proto.MarshalOptions{Deterministic: true}.Marshal(&want)
		if err != nil {
			t.Fatal(err)
		}
		write(t, descriptors, text)
	}
	if err := proto.Unmarshal(read(t, descriptors), &got); err != nil || !proto.Equal(&got, &want) {
		t.Errorf("%s is not made from the files in proto: run make proto (%v)", descriptors, err)
	}
}

func TestCopiesOfTheCookieAreCurrent(t *testing.T) {
	for _, file := range []string{node + "mpush.js", python + "mpush_plugin.py", "../../docs/plugins/other-languages.md"} {
		text := string(read(t, file))
		for _, word := range []string{pluginpb.CookieKey, pluginpb.CookieValue, pluginpb.DebugVariable} {
			if !strings.Contains(text, word) {
				t.Errorf("%s lacks %s", file, word)
			}
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}
