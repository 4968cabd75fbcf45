package sdk

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/invopop/jsonschema"
)

// maxSchemaBytes is what the protocol allows.
const maxSchemaBytes = 256 << 10

// schemaOf is the JSON Schema of a plugin's section, nil if it has none to tell.
func schemaOf(p Plugin) ([]byte, error) {
	c, ok := p.(Configurable)
	if !ok {
		return nil, nil
	}
	schema, err := reflectSchema(c.Config())
	if err != nil {
		return nil, fmt.Errorf("config schema: %w", err)
	}
	text, err := json.Marshal(schema)
	if err != nil {
		return nil, fmt.Errorf("config schema: %w", err)
	}
	if len(text) > maxSchemaBytes {
		return nil, fmt.Errorf("config schema: %d bytes are more than %d", len(text), maxSchemaBytes)
	}
	return text, nil
}

// reflectSchema makes the schema of what Decode reads into config, with the
// values that config holds as defaults.
func reflectSchema(config any) (schema *jsonschema.Schema, err error) {
	value := reflect.ValueOf(config)
	if value.Kind() != reflect.Pointer || value.IsNil() || value.Elem().Kind() != reflect.Struct {
		return nil, fmt.Errorf("expected a pointer to a struct, got %T", config)
	}
	defer func() {
		if found := recover(); found != nil { // the library has no errors
			schema, err = nil, fmt.Errorf("of %T: %v", config, found)
		}
	}()
	reflector := jsonschema.Reflector{
		Anonymous: true, DoNotReference: true, RequiredFromJSONSchemaTags: true, Mapper: schemaOfType,
	}
	schema = reflector.ReflectFromType(value.Type())
	if schemaOfType(value.Elem().Type()) != nil {
		schema.Type = "object" // it unmarshals itself; a section is an object all the same
	} else if err := refine(schema, value.Elem().Type(), value.Elem(), ""); err != nil {
		return nil, err
	}
	return schema, nil
}

var (
	timeType        = reflect.TypeFor[time.Time]()
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// schemaOfType is the schema of the types that Decode treats in its own way, nil
// for others. Each call makes a new one: tags are added to it.
func schemaOfType(t reflect.Type) *jsonschema.Schema {
	if custom, ok := reflect.New(t).Interface().(interface{ JSONSchema() *jsonschema.Schema }); ok {
		return custom.JSONSchema()
	}
	switch pointer := reflect.PointerTo(t); {
	case t == timeType:
		return &jsonschema.Schema{Type: "string", Format: "date-time"}
	case pointer.Implements(jsonUnmarshaler):
		return &jsonschema.Schema{}
	case pointer.Implements(textUnmarshaler):
		return &jsonschema.Schema{Type: "string"}
	case t == durationType:
		s := integer(0, mostMilliseconds)
		s.Extras = map[string]any{"x-unit": "ms"}
		return s
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Int64:
		return integer(math.MinInt64>>(64-t.Bits()), math.MaxInt64>>(64-t.Bits()))
	case t.Kind() >= reflect.Uint && t.Kind() <= reflect.Uint64:
		s := integer(0, 0)
		s.Maximum = json.Number(strconv.FormatUint(math.MaxUint64>>(64-t.Bits()), 10))
		return s
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return &jsonschema.Schema{Type: "array", Items: integer(0, math.MaxUint8)}
	case t.Kind() == reflect.Map && t.Key().Kind() != reflect.String:
		s := &jsonschema.Schema{Type: "object"}
		if !reflect.PointerTo(t.Key()).Implements(textUnmarshaler) {
			s.MaxProperties = new(uint64) // a key is a string
		}
		return s
	case !writable(t.Kind()):
		return &jsonschema.Schema{Not: &jsonschema.Schema{}}
	case contains(t, t, nil): // there is no end of it: Decode judges what is within
		kinds := map[reflect.Kind]string{reflect.Struct: "object", reflect.Map: "object", reflect.Slice: "array", reflect.Array: "array"}
		return &jsonschema.Schema{Type: kinds[t.Kind()]}
	default:
		return nil
	}
}

func integer(least, most int64) *jsonschema.Schema {
	return &jsonschema.Schema{
		Type:    "integer",
		Minimum: json.Number(strconv.FormatInt(least, 10)),
		Maximum: json.Number(strconv.FormatInt(most, 10)),
	}
}

// writable tells whether a value of the kind can be written in JSON.
func writable(kind reflect.Kind) bool {
	switch kind {
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer, reflect.Uintptr:
		return false
	default:
		return true
	}
}

// contains tells whether a value of type t can hold one of type inner.
func contains(t, inner reflect.Type, seen []reflect.Type) bool {
	if slices.Contains(seen, t) {
		return false
	}
	seen = append(seen, t)
	var within []reflect.Type
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		within = []reflect.Type{t.Elem()}
	case reflect.Struct:
		for i := range t.NumField() {
			within = append(within, t.Field(i).Type)
		}
	}
	return slices.ContainsFunc(within, func(w reflect.Type) bool {
		return w == inner || contains(w, inner, seen)
	})
}

// refine gives the schema of a type the names that Decode knows its fields by,
// and the values that v holds as defaults. v is invalid where there are none.
func refine(s *jsonschema.Schema, t reflect.Type, v reflect.Value, path string) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
		if v.IsValid() {
			v = v.Elem() // invalid if it was nil
		}
	}
	switch {
	case schemaOfType(t) != nil:
		return nil
	case t.Kind() == reflect.Array:
		s.MinItems = nil // Decode leaves the rest as it is
		return refine(s.Items, t.Elem(), reflect.Value{}, path+"[]")
	case t.Kind() == reflect.Slice:
		return refine(s.Items, t.Elem(), reflect.Value{}, path+"[]")
	case t.Kind() == reflect.Map && s.AdditionalProperties != nil:
		return refine(s.AdditionalProperties, t.Elem(), reflect.Value{}, path+".*")
	case t.Kind() != reflect.Struct:
		return nil
	}
	properties := jsonschema.NewProperties()
	err := refineFields(s, t, v, path, func(name string, property *jsonschema.Schema) { properties.Set(name, property) })
	s.Properties = properties
	return err
}

func refineFields(s *jsonschema.Schema, t reflect.Type, v reflect.Value, path string, keep func(name string, property *jsonschema.Schema)) error {
	for i := range t.NumField() {
		field, value := t.Field(i), reflect.Value{}
		if v.IsValid() {
			value = v.Field(i)
		}
		tag, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		for _, option := range strings.Split(options, ",") {
			if slices.Contains([]string{"inline", "squash", "remain", "string"}, option) {
				return fmt.Errorf("the field %s.%s: the json tag's %q means nothing here", t, field.Name, option)
			}
		}
		if field.Anonymous && embeds(field.Type) {
			if tag != "" || field.Type.Kind() == reflect.Pointer {
				return fmt.Errorf("the field %s.%s: embed the struct by value and without a json tag, or name the field", t, field.Name)
			}
			if err := refineFields(s, field.Type, value, path, keep); err != nil {
				return err
			}
			continue
		}
		reflected, name := field.Name, tag
		if tag != "" {
			reflected = tag
		} else {
			name = fieldKey(field.Name)
		}
		property, known := s.Properties.Get(reflected)
		if !known || !field.IsExported() || !writable(field.Type.Kind()) {
			continue
		}
		if i := slices.Index(s.Required, reflected); i >= 0 {
			s.Required[i] = name
		}
		property, err := refineField(property, field, value, slices.Contains(s.Required, name), strings.TrimPrefix(path+"."+name, "."))
		if err != nil {
			return err
		}
		keep(name, property)
	}
	return nil
}

// embeds tells whether a type's fields become those of what embeds it.
func embeds(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct
}

// fieldKey is the key of a field without a json tag, in the file's manner.
func fieldKey(name string) string { return strings.ToLower(name[:1]) + name[1:] }

func refineField(s *jsonschema.Schema, field reflect.StructField, v reflect.Value, required bool, path string) (*jsonschema.Schema, error) {
	tags := strings.Split(field.Tag.Get("jsonschema"), ",")
	if slices.Contains(tags, "nullable") && len(s.OneOf) == 2 {
		s = s.OneOf[0] // null is as good as absent for every key
	}
	s.WriteOnly = s.WriteOnly || slices.Contains(tags, "writeOnly=true")
	if s.WriteOnly {
		v = reflect.Value{}
	}
	s.Default = nil
	if v.IsValid() && !required {
		if value, ok := written(v); ok {
			s.Default = value
		}
	}
	if _, err := regexp.Compile(s.Pattern); err != nil {
		return nil, errors.New(path + ": " + err.Error())
	}
	return s, refine(s, field.Type, v, path)
}
