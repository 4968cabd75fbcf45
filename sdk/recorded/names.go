package recorded

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// names keeps which value of today stands for which name in the file.
type names struct {
	today map[name]any // by name in the file
	file  map[name]any // the other way round
}

type name struct {
	field protoreflect.Name
	value any
}

func newNames() *names { return &names{today: map[name]any{}, file: map[name]any{}} }

// chosen tells whether a field's value is for the side to choose that fills it.
func chosen(f protoreflect.FieldDescriptor) bool {
	switch f.Name() {
	case "request_id", "id", "generation", "mid", "auth":
		return true
	}
	return false
}

// bind learns from a message of today and its counterpart in the file what stands
// for what. A name that means something else already stays as it is, so that the
// two messages then differ.
func (n *names) bind(today, file protoreflect.Message) {
	file.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case !today.Has(f) || f.IsMap():
		case f.IsList() && f.Message() != nil:
			for i := range min(v.List().Len(), today.Get(f).List().Len()) {
				n.bind(today.Get(f).List().Get(i).Message(), v.List().Get(i).Message())
			}
		case f.IsList():
		case f.Message() != nil:
			n.bind(today.Get(f).Message(), v.Message())
		case chosen(f):
			in, now := name{f.Name(), v.Interface()}, name{f.Name(), today.Get(f).Interface()}
			// Two sessions of one second are the same.
			if n.today[in] == nil && (n.file[now] == nil || f.Name() == "auth") {
				n.today[in] = now.value
			}
			if n.today[in] == now.value {
				n.file[now] = in.value
			}
		}
		return true
	})
}

// translate puts in what by has for the chosen values.
func translate(m protoreflect.Message, by map[name]any) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				translate(v.List().Get(i).Message(), by)
			}
		case f.IsList():
		case f.Message() != nil:
			translate(v.Message(), by)
		case chosen(f):
			if to := by[name{f.Name(), v.Interface()}]; to != nil {
				m.Set(f, protoreflect.ValueOf(to))
			}
		}
		return true
	})
}

// forToday is a message of the file with today's values.
func forToday[M proto.Message](n *names, m M) M {
	m = proto.CloneOf(m)
	translate(m.ProtoReflect(), n.today)
	return m
}

// compare tells how a message of today differs from the file's, and returns it
// with the file's names.
func compare[M proto.Message](n *names, today, file M) (M, error) {
	n.bind(today.ProtoReflect(), file.ProtoReflect())
	named := proto.CloneOf(today)
	translate(named.ProtoReflect(), n.file)
	if !proto.Equal(named, file) {
		return named, fmt.Errorf("said\n\t%v\nrecorded is\n\t%v", named, file)
	}
	return named, nil
}
