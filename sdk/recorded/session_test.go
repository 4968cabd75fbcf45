package recorded

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"mpush/sdk/pluginpb"
)

// What is not in the session is not shown to be understood.
func TestEveryCallAndEveryEnvelopeIsInTheSession(t *testing.T) {
	seen := map[protoreflect.FullName]bool{}
	outcomes := map[pluginpb.OutcomeKind]bool{}
	for _, l := range V1(t).Lines {
		switch {
		case l.Core != nil:
			note(seen, l.Core)
		case l.Plugin != nil:
			note(seen, l.Plugin)
			outcomes[l.Plugin.GetOutcome().GetKind()] = true
		default:
			seen[protoreflect.FullName("mpush.plugin.v1.Plugin."+l.Call)] = true
		}
	}
	file := pluginpb.File_plugin_proto
	for _, envelope := range []protoreflect.Name{"CoreEnvelope", "PluginEnvelope"} {
		bodies := file.Messages().ByName(envelope).Oneofs().ByName("body").Fields()
		for i := range bodies.Len() {
			if name := bodies.Get(i).FullName(); !seen[name] {
				t.Errorf("%s is not in the session", name)
			}
		}
	}
	methods := file.Services().ByName("Plugin").Methods()
	for i := range methods.Len() {
		if m := methods.Get(i); !seen[m.FullName()] && !m.IsStreamingClient() {
			t.Errorf("%s is not in the session", m.FullName())
		}
	}
	for kind := range pluginpb.OutcomeKind_name {
		if kind := pluginpb.OutcomeKind(kind); kind != 0 && !outcomes[kind] {
			t.Errorf("%v is not in the session", kind)
		}
	}
}

func note(seen map[protoreflect.FullName]bool, envelope proto.Message) {
	envelope.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		seen[f.FullName()] = true
		return true
	})
}

func TestSessionIsWrittenAsItIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "session.jsonl")
	if err := V1(t).Write(path); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := files.ReadFile("v1/session.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(written, kept) {
		t.Error("the file differs from what Write makes of it")
	}
}

func TestDifferenceFromTheRecordIsNoticed(t *testing.T) {
	deliver := func(text string, generation uint64, mid int64) *pluginpb.CoreEnvelope {
		return &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Deliver{Deliver: &pluginpb.Deliver{
			Message: &pluginpb.Message{Mid: mid, Text: text}, Routes: []*pluginpb.DeliverRoute{{Generation: generation}},
		}}}
	}
	n := newNames()
	for _, test := range []struct {
		name  string
		today *pluginpb.CoreEnvelope
		file  *pluginpb.CoreEnvelope
		same  bool
	}{
		{"chosen values are anybody's", deliver("a", 70, 1000), deliver("a", 1, 5), true},
		{"and stay what they are", deliver("a", 70, 1001), deliver("a", 1, 6), true},
		{"another text", deliver("b", 70, 1000), deliver("a", 1, 5), false},
		{"another mid", deliver("a", 70, 1001), deliver("a", 1, 5), false},
		{"a known mid in place of a new one", deliver("a", 70, 1000), deliver("a", 1, 7), false},
		{"another generation", deliver("a", 71, 1000), deliver("a", 1, 5), false},
		{"a missing one", deliver("a", 0, 1000), deliver("a", 1, 5), false},
	} {
		if _, err := compare(n, test.today, test.file); (err == nil) != test.same {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if got := forToday(n, deliver("a", 1, 6)); !proto.Equal(got, deliver("a", 70, 1001)) {
		t.Errorf("today's values: %v", got)
	}
}
