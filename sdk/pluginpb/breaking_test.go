package pluginpb_test

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// breaks lists what of the frozen file the new one does not keep: a plugin that
// was built with the frozen one would misunderstand the core, or the other way
// round, or a program in another language that generates its code anew would no
// longer compile. What is only added is no break.
//
// This is small because the file is: it knows what proto3 without extensions,
// options and imports can say, and TestEveryKindOfBreakIsNoticed tries each.
// Buf's checker is made for whole repositories and brings a hundred modules.
func breaks(frozen, now protoreflect.FileDescriptor) []string {
	c := &comparison{}
	c.same("the package", frozen.Package(), now.Package())
	c.same("the syntax", frozen.Syntax(), now.Syntax())
	for m := range each(frozen.Messages()) {
		c.message(m, now.Messages().ByName(m.Name()))
	}
	for e := range each(frozen.Enums()) {
		c.enum(e, now.Enums().ByName(e.Name()))
	}
	for s := range each(frozen.Services()) {
		c.service(s, now.Services().ByName(s.Name()))
	}
	return c.found
}

// list is what protoreflect's lists have in common.
type list[D any] interface {
	Len() int
	Get(int) D
}

func each[D any](l list[D]) func(func(D) bool) {
	return func(yield func(D) bool) {
		for i := range l.Len() {
			if !yield(l.Get(i)) {
				return
			}
		}
	}
}

type comparison struct{ found []string }

func (c *comparison) add(format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

func (c *comparison) same(what string, frozen, now any) {
	if frozen != now {
		c.add("%s was %v and is %v", what, frozen, now)
	}
}

func (c *comparison) message(frozen, now protoreflect.MessageDescriptor) {
	if now == nil {
		c.add("message %s is gone", frozen.FullName())
		return
	}
	for f := range each(frozen.Fields()) {
		c.field(f, now.Fields().ByNumber(f.Number()))
	}
	for m := range each(frozen.Messages()) {
		c.message(m, now.Messages().ByName(m.Name()))
	}
	for e := range each(frozen.Enums()) {
		c.enum(e, now.Enums().ByName(e.Name()))
	}
	for name := range each(frozen.ReservedNames()) {
		if !now.ReservedNames().Has(name) {
			c.add("%s: the name %s is no longer reserved", frozen.FullName(), name)
		}
	}
	for numbers := range each(frozen.ReservedRanges()) {
		for n := numbers[0]; n < numbers[1]; n++ {
			if !now.ReservedRanges().Has(n) {
				c.add("%s: the number %d is no longer reserved", frozen.FullName(), n)
			}
		}
	}
}

func (c *comparison) field(frozen, now protoreflect.FieldDescriptor) {
	if now == nil {
		c.add("%s = %d is gone", frozen.FullName(), frozen.Number())
		return
	}
	about := func(what string) string { return fmt.Sprintf("%s of %s", what, frozen.FullName()) }
	c.same(about("the name"), frozen.Name(), now.Name())
	c.same(about("the name in JSON"), frozen.JSONName(), now.JSONName())
	c.same(about("the label"), frozen.Cardinality(), now.Cardinality())
	c.same(about("the type"), typeOf(frozen), typeOf(now))
	c.same(about("the encoding (packed)"), frozen.IsPacked(), now.IsPacked())
	c.same(about("the presence"), frozen.HasPresence(), now.HasPresence())
	c.same(about("the oneof"), oneofOf(frozen), oneofOf(now))
}

func typeOf(f protoreflect.FieldDescriptor) string {
	switch {
	case f.IsMap():
		return fmt.Sprintf("map<%s, %s>", typeOf(f.MapKey()), typeOf(f.MapValue()))
	case f.Message() != nil:
		return string(f.Message().FullName())
	case f.Enum() != nil:
		return string(f.Enum().FullName())
	}
	return f.Kind().String()
}

func oneofOf(f protoreflect.FieldDescriptor) protoreflect.Name {
	if f.ContainingOneof() == nil {
		return "none"
	}
	return f.ContainingOneof().Name()
}

func (c *comparison) enum(frozen, now protoreflect.EnumDescriptor) {
	if now == nil {
		c.add("enum %s is gone", frozen.FullName())
		return
	}
	for v := range each(frozen.Values()) {
		if kept := now.Values().ByName(v.Name()); kept == nil {
			c.add("%s is gone or has another name", v.FullName())
		} else {
			c.same("the number of "+string(v.FullName()), v.Number(), kept.Number())
		}
	}
}

func (c *comparison) service(frozen, now protoreflect.ServiceDescriptor) {
	if now == nil {
		c.add("service %s is gone", frozen.FullName())
		return
	}
	for m := range each(frozen.Methods()) {
		kept := now.Methods().ByName(m.Name())
		if kept == nil {
			c.add("%s is gone", m.FullName())
			continue
		}
		about := func(what string) string { return fmt.Sprintf("%s of %s", what, m.FullName()) }
		c.same(about("the request"), m.Input().FullName(), kept.Input().FullName())
		c.same(about("the response"), m.Output().FullName(), kept.Output().FullName())
		c.same(about("the streaming of requests"), m.IsStreamingClient(), kept.IsStreamingClient())
		c.same(about("the streaming of responses"), m.IsStreamingServer(), kept.IsStreamingServer())
	}
}

// fileOf makes a descriptor that has no code and is registered nowhere.
func fileOf(proto *descriptorpb.FileDescriptorProto) (protoreflect.FileDescriptor, error) {
	if len(proto.GetDependency()) > 0 {
		return nil, fmt.Errorf("%s imports %v: the checker knows no imports", proto.GetName(), slices.Sorted(slices.Values(proto.GetDependency())))
	}
	return protodesc.NewFile(proto, new(protoregistry.Files))
}
