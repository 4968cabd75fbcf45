package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPluginTestChecksTheSectionAsTheRelayDoes(t *testing.T) {
	p := &pluginTest{timeout: time.Second}
	target, err := p.target(t.Context(), strings.NewReader(""), []string{"./plugin"})
	if err != nil {
		t.Fatal(err)
	}
	for schema, says := range map[string]string{
		`{"$schema": "http://json-schema.org/draft-07/schema#"}`: "draft/2020-12",
		`{"properties": {"a": {"pattern": "a(?=b)"}}}`:           "invalid or unsupported",
		`{"properties": {"a": {"$anchor": "a"}}}`:                "use $ref and $defs",
		`{"properties": {"a": {"$id": "http://example.com"}}}`:   "has no $id",
		`{"properties": {"a": {"type": "strnig"}}}`:              "type",
	} {
		if _, err := target.Section([]byte(schema), nil); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", schema, err)
		}
	}
	schema := []byte(`{"properties": {"port": {"type": "string"}, "host": {"type": "string"}}, "required": ["host"], "additionalProperties": false}`)
	for section, wanted := range map[string][]string{
		``:                          {"host: missing: expected a string"},
		`{"host": "a"}`:             nil,
		`{"host": "a", "port": 80}`: {"port: expected a string, got a number"},
		`{"host": "a", "prot": ""}`: {`prot: unknown key (did you mean "port"?)`},
		`[]`:                        {"expected an object"},
	} {
		if faults, err := target.Section(schema, []byte(section)); err != nil || !slices.Equal(faults, wanted) {
			t.Errorf("%s: %q, %v", section, faults, err)
		}
	}
}
