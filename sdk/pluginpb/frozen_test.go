package pluginpb_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"mpush/sdk/pluginpb"
)

var update = flag.Bool("update", false, "write additions to the protocol into testdata")

// frozenFile is protocol 1 as it was promised: its descriptor, without comments.
const frozenFile = "testdata/v1.json"

func current() *descriptorpb.FileDescriptorProto {
	return protodesc.ToFileDescriptorProto(pluginpb.File_plugin_proto)
}

func frozen(t *testing.T) *descriptorpb.FileDescriptorProto {
	t.Helper()
	text, err := os.ReadFile(frozenFile)
	if err != nil {
		t.Fatal(err)
	}
	file := &descriptorpb.FileDescriptorProto{}
	if err := protojson.Unmarshal(text, file); err != nil {
		t.Fatalf("%s: %v", frozenFile, err)
	}
	return file
}

func compare(t *testing.T, old, new *descriptorpb.FileDescriptorProto) []string {
	t.Helper()
	before, err := fileOf(old)
	if err != nil {
		t.Fatal(err)
	}
	after, err := fileOf(new)
	if err != nil {
		t.Fatal(err)
	}
	return breaks(before, after)
}

// Protocol 1 is promised to plugins that exist. With -update additions are
// written down, so that from then on they are promised as well; a break never.
func TestProtocol1IsKept(t *testing.T) {
	if broken := compare(t, frozen(t), current()); len(broken) > 0 {
		t.Fatalf("plugin.proto breaks protocol 1; what is new needs new names and numbers, or a version 2:\n%s", strings.Join(broken, "\n"))
	}
	if proto.Equal(frozen(t), current()) {
		return
	}
	if !*update {
		t.Fatal("plugin.proto has additions: go test ./sdk/pluginpb -run Protocol1 -update, and commit testdata")
	}
	if err := os.WriteFile(frozenFile, indented(t, current()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// indented is the same for the same file; protojson varies its blanks.
func indented(t *testing.T, file *descriptorpb.FileDescriptorProto) []byte {
	t.Helper()
	text, err := protojson.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	var even, out bytes.Buffer
	if err := json.Compact(&even, text); err != nil {
		t.Fatal(err)
	}
	if err := json.Indent(&out, even.Bytes(), "", " "); err != nil {
		t.Fatal(err)
	}
	out.WriteByte('\n')
	return out.Bytes()
}

// find returns the element of that name.
func find[D interface{ GetName() string }](all []D, name string) D {
	return all[slices.IndexFunc(all, func(d D) bool { return d.GetName() == name })]
}

// without returns all but the element of that name.
func without[D interface{ GetName() string }](all []D, name string) []D {
	return slices.DeleteFunc(all, func(d D) bool { return d.GetName() == name })
}

func TestEveryKindOfBreakIsNoticed(t *testing.T) {
	type file = descriptorpb.FileDescriptorProto
	message := func(f *file, name string) *descriptorpb.DescriptorProto { return find(f.MessageType, name) }
	field := func(f *file, of, name string) *descriptorpb.FieldDescriptorProto {
		return find(message(f, of).Field, name)
	}
	role := func(f *file) *descriptorpb.EnumDescriptorProto { return find(f.EnumType, "Role") }
	method := func(f *file, name string) *descriptorpb.MethodDescriptorProto {
		return find(f.Service[0].Method, name)
	}
	for name, test := range map[string]struct {
		edit func(*file)
		want string
	}{
		"package": {func(f *file) {
			text, err := protojson.Marshal(f)
			if err != nil {
				t.Fatal(err)
			}
			proto.Reset(f)
			if err := protojson.Unmarshal(bytes.ReplaceAll(text, []byte("mpush.plugin.v1"), []byte("mpush.plugin.v2")), f); err != nil {
				t.Fatal(err)
			}
		}, "the package"},
		"message removed": {func(f *file) {
			f.MessageType = without(f.MessageType, "Diagnostic")
			field(f, "ConfigureResponse", "diagnostics").TypeName = proto.String(".mpush.plugin.v1.Error")
		}, "message mpush.plugin.v1.Diagnostic is gone"},
		"message renamed": {func(f *file) {
			message(f, "Done").Name = proto.String("Finished")
			field(f, "CoreEnvelope", "done").TypeName = proto.String(".mpush.plugin.v1.Finished")
		}, "message mpush.plugin.v1.Done is gone"},
		"field removed":    {func(f *file) { m := message(f, "Outcome"); m.Field = without(m.Field, "late") }, "Outcome.late = 7 is gone"},
		"field renumbered": {func(f *file) { field(f, "Outcome", "late").Number = proto.Int32(70) }, "Outcome.late = 7 is gone"},
		"field renamed":    {func(f *file) { field(f, "Outcome", "late").Name = proto.String("tardy") }, "the name of mpush.plugin.v1.Outcome.late"},
		"numbers swapped": {func(f *file) {
			field(f, "Evict", "receiver").Number = proto.Int32(3)
			field(f, "Evict", "reason").Number = proto.Int32(1)
		}, "the name of mpush.plugin.v1.Evict.receiver"},
		"JSON name":     {func(f *file) { field(f, "Outcome", "late").JsonName = proto.String("Late") }, "the name in JSON"},
		"field retyped": {func(f *file) { field(f, "Recall", "mid").Type = descriptorpb.FieldDescriptorProto_TYPE_UINT64.Enum() }, "the type of mpush.plugin.v1.Recall.mid was int64 and is uint64"},
		"field of another message": {func(f *file) {
			field(f, "Deliver", "message").TypeName = proto.String(".mpush.plugin.v1.Publish")
		}, "the type of mpush.plugin.v1.Deliver.message"},
		"map's value": {func(f *file) {
			find(message(f, "StateResult").NestedType, "EntriesEntry").Field[1].Type = descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum()
		}, "map<string, bytes> and is map<string, string>"},
		"label": {func(f *file) {
			field(f, "Outcome", "error").Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
		}, "the label"},
		"packed": {func(f *file) {
			field(f, "DescribeResponse", "rights").Options = &descriptorpb.FieldOptions{Packed: proto.Bool(false)}
		}, "packed"},
		"made optional": {func(f *file) {
			m := message(f, "Outcome")
			m.OneofDecl = append(m.OneofDecl, &descriptorpb.OneofDescriptorProto{Name: proto.String("_late")})
			late := field(f, "Outcome", "late")
			late.OneofIndex, late.Proto3Optional = proto.Int32(0), proto.Bool(true)
		}, "the presence"},
		"out of its oneof":           {func(f *file) { field(f, "PluginEnvelope", "declare").OneofIndex = nil }, "the oneof"},
		"reserved number given free": {func(f *file) { message(f, "Recall").ReservedRange = nil }, "the number 9 is no longer reserved"},
		"reserved name given free":   {func(f *file) { message(f, "Recall").ReservedName = nil }, "the name old is no longer reserved"},
		"enum removed": {func(f *file) {
			f.EnumType = without(f.EnumType, "Role")
			field(f, "DescribeResponse", "roles").TypeName = proto.String(".mpush.plugin.v1.Right")
		}, "enum mpush.plugin.v1.Role is gone"},
		"enum value removed":    {func(f *file) { role(f).Value = without(role(f).Value, "ROLE_EGRESS") }, "ROLE_EGRESS is gone"},
		"enum value renamed":    {func(f *file) { find(role(f).Value, "ROLE_EGRESS").Name = proto.String("ROLE_OUT") }, "ROLE_EGRESS is gone"},
		"enum value renumbered": {func(f *file) { find(role(f).Value, "ROLE_EGRESS").Number = proto.Int32(20) }, "the number of mpush.plugin.v1.ROLE_EGRESS"},
		"service renamed":       {func(f *file) { f.Service[0].Name = proto.String("Channel") }, "service mpush.plugin.v1.Plugin is gone"},
		"call removed":          {func(f *file) { f.Service[0].Method = without(f.Service[0].Method, "Health") }, "Plugin.Health is gone"},
		"call renamed":          {func(f *file) { method(f, "Health").Name = proto.String("Probe") }, "Plugin.Health is gone"},
		"call's request":        {func(f *file) { method(f, "Health").InputType = proto.String(".mpush.plugin.v1.StopRequest") }, "the request of"},
		"call's response":       {func(f *file) { method(f, "Health").OutputType = proto.String(".mpush.plugin.v1.StopResponse") }, "the response of"},
		"requests streamed":     {func(f *file) { method(f, "Health").ClientStreaming = proto.Bool(true) }, "the streaming of requests"},
		"responses streamed":    {func(f *file) { method(f, "Health").ServerStreaming = proto.Bool(true) }, "the streaming of responses"},
	} {
		t.Run(name, func(t *testing.T) {
			old := current()
			recall := message(old, "Recall")
			recall.ReservedName = []string{"old"}
			recall.ReservedRange = []*descriptorpb.DescriptorProto_ReservedRange{{Start: proto.Int32(9), End: proto.Int32(10)}}
			changed := proto.CloneOf(old)
			test.edit(changed)
			found := strings.Join(compare(t, old, changed), "\n")
			if !strings.Contains(found, test.want) {
				t.Errorf("found %q, want %q", found, test.want)
			}
		})
	}
}

func TestAdditionsAreNoBreak(t *testing.T) {
	changed := current()
	changed.MessageType = append(changed.MessageType, &descriptorpb.DescriptorProto{Name: proto.String("Ping")})
	changed.EnumType[0].Value = append(changed.EnumType[0].Value, &descriptorpb.EnumValueDescriptorProto{Name: proto.String("ROLE_NEW"), Number: proto.Int32(99)})
	changed.Service[0].Method = append(changed.Service[0].Method, &descriptorpb.MethodDescriptorProto{
		Name: proto.String("Echo"), InputType: proto.String(".mpush.plugin.v1.Ping"), OutputType: proto.String(".mpush.plugin.v1.Ping"),
	})
	envelope := find(changed.MessageType, "CoreEnvelope")
	envelope.Field = append(envelope.Field, &descriptorpb.FieldDescriptorProto{
		Name: proto.String("ping"), JsonName: proto.String("ping"), Number: proto.Int32(99), OneofIndex: proto.Int32(0),
		Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(), Type: descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(),
		TypeName: proto.String(".mpush.plugin.v1.Ping"),
	})
	if found := compare(t, current(), changed); len(found) > 0 {
		t.Errorf("found %q", found)
	}
}
