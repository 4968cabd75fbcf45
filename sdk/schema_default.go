package sdk

import (
	"encoding"
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
)

// written is how a value of a config struct would stand in a section. ok is
// false where there is nothing to write: a struct's fields speak for themselves.
func written(v reflect.Value) (value any, ok bool) {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return nil, false
		}
		v = v.Elem()
	}
	pointer := reflect.PointerTo(v.Type())
	if v.Kind() == reflect.Struct && !pointer.Implements(jsonUnmarshaler) && !pointer.Implements(textUnmarshaler) {
		return nil, false
	}
	return writtenInside(v)
}

// writtenInside is as written, but for the structs in lists and maps.
func writtenInside(v reflect.Value) (value any, ok bool) {
	t := v.Type()
	own := schemaOfType(t)
	switch {
	case own != nil && own.WriteOnly || !writable(t.Kind()):
		return nil, false
	case t == durationType:
		return time.Duration(v.Int()).Milliseconds(), true
	case reflect.PointerTo(t).Implements(jsonUnmarshaler):
		m, ok := v.Interface().(json.Marshaler)
		if !ok || v.IsZero() {
			return nil, false
		}
		text, err := m.MarshalJSON()
		return json.RawMessage(text), err == nil
	case reflect.PointerTo(t).Implements(textUnmarshaler):
		m, ok := v.Interface().(encoding.TextMarshaler)
		if !ok || v.IsZero() {
			return nil, false
		}
		text, err := m.MarshalText()
		return string(text), err == nil
	}
	switch t.Kind() {
	case reflect.Bool:
		return v.Bool(), true
	case reflect.String:
		return v.String(), true
	case reflect.Float32, reflect.Float64:
		return v.Float(), !math.IsNaN(v.Float()) && !math.IsInf(v.Float(), 0)
	case reflect.Slice, reflect.Array:
		var list []any
		for i := range v.Len() {
			if element, ok := writtenInside(reflect.Indirect(v.Index(i))); ok {
				list = append(list, element)
			}
		}
		return list, len(list) > 0 && len(list) == v.Len()
	case reflect.Map:
		members := make(map[string]any)
		for key, element := range v.Seq2() {
			if value, ok := writtenInside(reflect.Indirect(element)); ok && key.Kind() == reflect.String {
				members[key.String()] = value
			}
		}
		return members, len(members) > 0 && len(members) == v.Len()
	case reflect.Struct:
		members := make(map[string]any)
		for i := range t.NumField() {
			addMember(members, t.Field(i), v.Field(i))
		}
		return members, true
	case reflect.Pointer, reflect.Interface, reflect.Invalid:
		return nil, false
	default:
		return v.Interface(), true
	}
}

// addMember writes a field of a struct within a list. Secrets are left out.
func addMember(members map[string]any, field reflect.StructField, v reflect.Value) {
	tag, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	secret := slices.Contains(strings.Split(field.Tag.Get("jsonschema"), ","), "writeOnly=true")
	if !field.IsExported() || secret || tag == "-" || v.IsZero() {
		return
	}
	if tag == "" {
		tag = fieldKey(field.Name)
	}
	if value, ok := writtenInside(reflect.Indirect(v)); ok {
		members[tag] = value
	}
}
