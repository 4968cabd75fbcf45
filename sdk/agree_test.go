package sdk

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mpush/core/schema"
)

// candidates are values that a section may have by mistake or by right, as JSON.
// Whole numbers written with a point or an exponent are not among them: a schema
// lets them pass, Decode does not.
func candidates() []string {
	return []string{
		`null`, `true`, `false`, `""`, `"a"`, `"ab"`, `"AB"`, `"abcde"`, `"fast"`, `"10.0.0.0/8"`, `0`, `1`, `-1`, `5`, `7`, `99`, `100`, `0.5`, `1.5`,
		`127`, `128`, `-128`, `-129`, `255`, `256`, `65535`, `65536`, `9223372036854775807`, `9223372036854775808`, `-9223372036854775808`,
		`9223372036854`, `9223372036855`, `18446744073709551615`, `18446744073709551616`,
		`[]`, `["a"]`, `["a", "b"]`, `["a", "a"]`, `["a", "b", "c"]`, `["z"]`, `[null]`, `[1]`, `[1, 2]`, `[1, 2, 3]`, `[-1]`, `[256]`, `[[]]`, `[{}]`,
		`{}`, `{"a": "b"}`, `{"a": 1}`, `{"a": null}`, `{"name": "x"}`, `{"name": 1}`, `{"name": "x", "max": 1}`, `{"nope": 1}`,
		`[{"name": "x"}]`, `[{"max": "x"}]`, `[{"nope": null}]`, `[{"nope": 1}]`, `{"inner": {"depth": 1}}`, `{"inner": {"depth": ""}}`, `{"inner": {}}`,
	}
}

// alone are the keys that their types judge alone: those that unmarshal
// themselves, and what holds its like.
func alone() []string { return []string{"net", "at", "tree"} }

// others is a second struct, with what the first does not have.
type others struct {
	Inner   struct{ nested }   `json:"inner" jsonschema:"required"`
	List    [][]uint8          `json:"list" jsonschema:"maxItems=2"`
	Maps    map[string]nested  `json:"maps"`
	Named   level              `json:"named" jsonschema:"enum=1,enum=5"`
	Half    float32            `json:"half" jsonschema:"minimum=0.5"`
	Big     uint64             `json:"big"`
	Deep    **nested           `json:"deep"`
	Pointer *string            `json:"pointer" jsonschema:"minLength=1"`
	Deeper  map[string][]level `json:"deeper"`
	Untag   bool
}

type nested struct {
	Depth int   `json:"depth" jsonschema:"minimum=0"`
	Name  level `json:"name"`
}

type level int16

func TestSchemaAndDecodeAgree(t *testing.T) {
	for name, make := range map[string]func() any{
		"every":    func() any { return defaultEvery() },
		"others":   func() any { return &others{} },
		"settings": func() any { return &settings{} },
		"bot":      func() any { return &bot{} },
		"none":     func() any { return &struct{}{} },
	} {
		t.Run(name, func(t *testing.T) {
			reflected, err := reflectSchema(make())
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(reflected)
			if err != nil {
				t.Fatal(err)
			}
			compiled, err := schema.Compile(text)
			if err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			var keys []string
			for p := reflected.Properties.Oldest(); p != nil; p = p.Next() {
				keys = append(keys, p.Key)
			}
			keys = slices.DeleteFunc(keys, func(key string) bool { return slices.Contains(alone(), key) })
			keys = append(keys, "nope", "Token")
			rapid.Check(t, func(t *rapid.T) {
				section := map[string]json.RawMessage{}
				for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom(keys), 0, 5, rapid.ID).Draw(t, "keys") {
					section[key] = json.RawMessage(rapid.SampledFrom(candidates()).Draw(t, key))
				}
				if rapid.Bool().Draw(t, "complete") {
					for _, key := range reflected.Required {
						if section[key] == nil {
							section[key] = json.RawMessage(map[string]string{"inner": `{}`}[key])
						}
						if len(section[key]) == 0 {
							section[key] = json.RawMessage(`""`)
						}
					}
				}
				agree(t, compiled, section, make())
			})
		})
	}
}

func agree(t *rapid.T, compiled *schema.Schema, section map[string]json.RawMessage, into any) {
	text, err := json.Marshal(section)
	if err != nil {
		t.Fatal(err)
	}
	faults := compiled.Check(text, func(string, []string) string { return "unknown key" })
	decoded := NewConfig("c", text).Decode(into)
	if (len(faults) == 0) != (decoded == nil) {
		t.Fatalf("%s:\nschema: %v\ndecode: %v", text, faults, decoded)
	}
	bySchema, byDecode := map[string]bool{}, map[string]bool{}
	for _, f := range faults {
		bySchema[root(f.Path)] = true
	}
	for _, d := range diagnostics(decoded) {
		byDecode[root(d.GetPath())] = true
	}
	if !reflect.DeepEqual(bySchema, byDecode) {
		t.Fatalf("%s:\nschema: %v\ndecode: %v", text, slices.Sorted(maps.Keys(bySchema)), slices.Sorted(maps.Keys(byDecode)))
	}
}

// root is the key of the section that a path begins with.
func root(path string) string {
	return strings.FieldsFunc(path+".", func(r rune) bool { return r == '.' || r == '[' })[0]
}

func TestEveryCandidateIsTriedAlone(t *testing.T) {
	for name, make := range map[string]func() any{"every": func() any { return defaultEvery() }, "others": func() any { return &others{} }} {
		reflected, _ := reflectSchema(make())
		text, _ := json.Marshal(reflected)
		compiled, err := schema.Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		base := map[string]string{"every": `"token": "", "plain": ""`, "others": `"inner": {}`}[name]
		for p := reflected.Properties.Oldest(); p != nil; p = p.Next() {
			if slices.Contains(alone(), p.Key) || strings.Contains(base, `"`+p.Key+`"`) {
				continue
			}
			for _, candidate := range candidates() {
				section := []byte(fmt.Sprintf(`{%s, %q: %s}`, base, p.Key, candidate))
				faults := compiled.Check(section, func(string, []string) string { return "unknown key" })
				if decoded := NewConfig("c", section).Decode(make()); (len(faults) == 0) != (decoded == nil) {
					t.Errorf("%s:\nschema: %v\ndecode: %v", section, faults, decoded)
				}
			}
		}
	}
}
