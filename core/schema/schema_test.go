package schema

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const example = `{
	"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "additionalProperties": false,
	"required": ["token", "chat"],
	"properties": {
		"token": {"type": "string", "writeOnly": true, "description": "what the bot is called by", "minLength": 3},
		"chat": {"type": "string"},
		"timeout": {"type": "integer", "minimum": 100, "maximum": 9223372036854, "default": 3000, "x-unit": "ms"},
		"port": {"type": "integer", "minimum": 1, "maximum": 65535},
		"ratio": {"type": "number", "exclusiveMinimum": 0.5, "exclusiveMaximum": 1},
		"mode": {"enum": ["fast", "safe", 3]},
		"step": {"type": "integer", "multipleOf": 5},
		"name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 4},
		"on": {"type": "boolean"},
		"none": false,
		"one": {"const": "this"},
		"tags": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2, "uniqueItems": true},
		"proxy": {"anyOf": [
			{"type": "string", "pattern": "^http"},
			{"type": "object", "required": ["host"], "additionalProperties": false,
				"properties": {"host": {"type": "string"}, "auth": {"$ref": "#/$defs/auth"}}}]},
		"secret": {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}], "writeOnly": true},
		"headers": {"type": "object", "additionalProperties": {"type": "string"}, "propertyNames": {"maxLength": 5}},
		"clients": {"type": "array", "items": {"$ref": "#/$defs/client"}}
	},
	"$defs": {
		"auth": {"type": "object", "properties": {"user": {"type": "string"}, "password": {"type": "string", "writeOnly": true}}},
		"client": {"type": "object", "required": ["url"], "additionalProperties": false,
			"properties": {"url": {"type": "string"}, "pin": {"type": "integer", "writeOnly": true}}}
	}
}`

func compile(t testing.TB, text string) *Schema {
	t.Helper()
	s, err := Compile([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func unknown(_ string, known []string) string {
	return "unknown key, not " + strings.Join(known, ", ")
}

func check(s *Schema, section string) string {
	var lines []string
	for _, f := range s.Check([]byte(section), unknown) {
		lines = append(lines, f.Path+": "+f.Message)
	}
	return strings.Join(lines, "\n")
}

func TestCheckSaysWhatWasExpected(t *testing.T) {
	s := compile(t, example)
	for _, test := range []struct{ section, want string }{
		{`{}`, "chat: missing: expected a string\ntoken: missing: expected a string: what the bot is called by"},
		{``, "chat: missing: expected a string\ntoken: missing: expected a string: what the bot is called by"},
		{`null`, "chat: missing: expected a string\ntoken: missing: expected a string: what the bot is called by"},
		{`[]`, ": expected an object"},
		{`{`, ": not JSON: unexpected EOF"},
		{`{"timeout": "3s"}`, `timeout: expected a whole number of milliseconds, got a string`},
		{`{"timeout": 0.5}`, `timeout: expected a whole number of milliseconds, got a fraction`},
		{`{"timeout": 50}`, `timeout: expected at least 100 ms`},
		{`{"timeout": 1e999999999}`, `timeout: the number is out of range`},
		{`{"timeout": null}`, ``},
		{`{"prot": null, "clients": [{"url": "x", "uri": null}]}`, "clients[0].uri: unknown key, not pin, url\nprot: unknown key, not chat, clients, headers, mode, name, none, on, one, port, proxy, ratio, secret, step, tags, timeout, token"},
		{`{"port": 65536}`, `port: expected at most 65535`},
		{`{"ratio": 0.5}`, `ratio: expected more than 0.5`},
		{`{"ratio": 1}`, `ratio: expected less than 1`},
		{`{"mode": "slow"}`, `mode: expected one of fast, safe, 3`},
		{`{"step": 7}`, `step: expected a multiple of 5`},
		{`{"name": "toolong"}`, `name: expected at most 4 characters`},
		{`{"name": "A"}`, `name: expected a text that matches ^[a-z]+$`},
		{`{"on": "yes"}`, `on: expected true or false, got a string`},
		{`{"none": 1}`, `none: is not allowed here`},
		{`{"one": "that"}`, `one: expected this`},
		{`{"tags": []}`, `tags: expected at least 1 in the list, not 0`},
		{`{"tags": ["a", "b", "c"]}`, `tags: expected at most 2 in the list, not 3`},
		{`{"tags": ["a", "a"]}`, `tags: expected no two elements that are the same`},
		{`{"tags": ["a", null]}`, `tags[1]: expected a string, got null`},
		{`{"tags": "a"}`, `tags: expected a list, got a string`},
		{`{"proxy": 5}`, `proxy: expected a string or an object, got a number`},
		{`{"proxy": "ftp://x"}`, `proxy: expected a text that matches ^http`},
		{`{"proxy": {"hots": "x"}}`, "proxy.host: missing: expected a string\nproxy.hots: unknown key, not auth, host"},
		{`{"proxy": {"host": "x", "auth": {"user": 1}}}`, "proxy.auth.user: expected a string, got a number"},
		{`{"secret": 5}`, `secret: expected a list or a string, got a number`},
		{`{"headers": {"a b": 1}}`, `headers["a b"]: expected a string, got a number`},
		{`{"headers": {"longer": ""}}`, `headers.longer: the key itself does not fit: expected at most 5 characters`},
		{`{"clients": [{"url": "x"}, {"uri": "y"}]}`, "clients[1].uri: unknown key, not pin, url\nclients[1].url: missing: expected a string"},
		{`{"clients": [5]}`, `clients[0]: expected an object, got a number`},
		{`{"chatt": 1}`, `chatt: unknown key, not chat, clients, headers, mode, name, none, on, one, port, proxy, ratio, secret, step, tags, timeout, token`},
	} {
		section := test.section
		if strings.HasPrefix(test.want, "chat: ") || !strings.HasPrefix(section, "{\"") {
			if got := check(s, section); got != test.want {
				t.Errorf("%s:\ngot  %s\nwant %s", section, got, test.want)
			}
			continue
		}
		section = strings.TrimSuffix(section, "}") + `, "token": "s3cret", "chat": "c"}`
		if got := check(s, section); got != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", section, got, test.want)
		}
	}
}

func TestFaultsHoldNoValue(t *testing.T) {
	const value = "s3cret0"
	s := compile(t, `{"properties": {
		"a": {"const": "x"}, "b": {"enum": ["x"]}, "c": {"type": "integer"}, "d": {"pattern": "^x"}, "e": {"maxLength": 1},
		"f": {"not": {}}, "g": {"anyOf": [{"const": "x"}, {"pattern": "^y"}]}, "h": {"contains": {"type": "integer"}},
		"i": {"if": {"type": "string"}, "then": {"maxLength": 2}}, "j": {"items": {"const": 1}}, "k": {"uniqueItems": true},
		"l": {"oneOf": [{}, {}]}, "m": {"contains": {}, "maxContains": 1}}}`)
	quoted := `"` + value + `"`
	text := check(s, fmt.Sprintf(`{"a": %[1]s, "b": %[1]s, "c": %[1]s, "d": %[1]s, "e": %[1]s, "f": %[1]s, "g": %[1]s,
		"h": [%[1]s], "i": %[1]s, "j": [%[1]s], "k": [%[1]s, %[1]s], "l": %[1]s, "m": [%[1]s, %[1]s]}`, quoted))
	if lines := strings.Count(text, "\n") + 1; lines != 13 || strings.Contains(text, value) {
		t.Errorf("%d faults:\n%s", lines, text)
	}
}

func TestSchemaOutOfBoundsDoesNotCompile(t *testing.T) {
	deep := strings.Repeat(`{"not":`, 100) + `true` + strings.Repeat(`}`, 100)
	for _, test := range []struct{ schema, want string }{
		{`{`, "not JSON"},
		{`{} {}`, "something follows"},
		{`5`, "expected a schema"},
		{`{"type": "text"}`, "not valid against metaschema"},
		{`{"type": "object", "properties": []}`, "expected an object of schemas"},
		{`{"minimum": "5"}`, "metaschema"},
		{`{"minimum": 1e999999999}`, "a number out of range"},
		{`{"enum": [1e-999999999]}`, "a number out of range"},
		{`{"pattern": "["}`, "error parsing regexp"},
		{`{"patternProperties": {"(": {}}}`, "error parsing regexp"},
		{`{"pattern": "` + strings.Repeat("x", maxExpressionBytes+1) + `"}`, "regular expressions have more than"},
		{`{"$ref": "https://example.com/schema"}`, "expected a place in the schema itself"},
		{`{"$ref": "file:///etc/passwd"}`, "expected a place in the schema itself"},
		{`{"$ref": "other.json#/a"}`, "expected a place in the schema itself"},
		{`{"$ref": "#/$defs/none"}`, "there is no schema at #/$defs/none"},
		{`{"$ref": "#anchor"}`, "expected a place in the schema itself"},
		{`{"$ref": "#/default", "default": {}}`, "there is no schema at #/default"},
		{`{"$dynamicRef": "#x"}`, "not served"},
		{`{"properties": {"a": {"$id": "https://example.com/b"}}}`, "has no $id"},
		{`{"$schema": "http://json-schema.org/draft-07/schema#"}`, "expected \"https://json-schema.org/draft/2020-12/schema\""},
		{`{"title": "` + strings.Repeat("x", maxBytes) + `"}`, "bytes, more than"},
		{`{"properties": {"` + strings.Repeat("x", maxNameBytes+1) + `": {}}}`, "a name of more than"},
		{`{"allOf": [` + strings.Repeat(`{},`, maxSchemas) + `{}]}`, "more than 10000 schemas"},
		{deep, "nested deeper"},
		{`{"default": ` + strings.Repeat(`[`, 100) + strings.Repeat(`]`, 100) + `}`, "nested deeper"},
	} {
		if _, err := Compile([]byte(test.schema)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.60s: %v, want %s", test.schema, err, test.want)
		}
	}
	for _, fine := range []string{`{}`, `true`, `{"$id": "https://example.com/a", "$ref": "#/$defs/a~1b%25", "$defs": {"a/b%": {}}}`, `{"$comment": "x", "x-other": 5, "format": "uri"}`} {
		if _, err := Compile([]byte(fine)); err != nil {
			t.Errorf("%s: %v", fine, err)
		}
	}
}

// Each of these would take longer than anybody lives.
func TestCheckEndsWhateverTheSchema(t *testing.T) {
	var doubling strings.Builder
	doubling.WriteString(`{"$ref": "#/$defs/a0", "$defs": {`)
	for i := range 60 {
		fmt.Fprintf(&doubling, `"a%d": {"anyOf": [{"$ref": "#/$defs/a%[2]d"}, {"$ref": "#/$defs/a%[2]d"}]},`, i, i+1)
	}
	doubling.WriteString(`"a60": {"type": "string"}}}`)
	recursive := `{"$ref": "#/$defs/a", "$defs": {"a": {"properties": {"x": {"anyOf": [{"$ref": "#/$defs/a"}, {"allOf": [{"$ref": "#/$defs/a"}]}]}}, "required": ["y"]}}}`
	wide := `{"allOf": [` + strings.TrimSuffix(strings.Repeat(`{"uniqueItems": true, "properties": {"x": {"uniqueItems": true}}},`, 3900), ",") + `]}`
	nested := strings.Repeat(`{"x":`, 60) + `1` + strings.Repeat(`}`, 60)
	list := `{"x": [` + strings.Repeat(`"element",`, 50_000) + `"element"]}`
	for name, test := range map[string]struct{ schema, section string }{
		"doubling":  {doubling.String(), `{}`},
		"recursive": {recursive, nested},
		"loop":      {`{"$ref": "#"}`, `{}`},
		"wide":      {wide, list},
	} {
		t.Run(name, func(t *testing.T) {
			s := compile(t, test.schema)
			began := time.Now()
			faults := s.Check([]byte(test.section), unknown)
			s.Secrets([]byte(test.section))
			s.Keys()
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("took %v", took)
			}
			if len(faults) == 0 {
				t.Error("no fault")
			}
		})
	}
}

func TestFaultsAreBounded(t *testing.T) {
	s := compile(t, `{"additionalProperties": {"type": "string"}}`)
	var section strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&section, `"k%d": 1,`, i)
	}
	if n := len(s.Check([]byte(`{`+strings.TrimSuffix(section.String(), ",")+`}`), unknown)); n != maxFaults {
		t.Errorf("%d faults", n)
	}
}

func TestSecretsAreFoundWhereverTheyAre(t *testing.T) {
	s := compile(t, example)
	got := s.Secrets([]byte(`{"token": "t0ken", "chat": "c", "proxy": {"host": "h", "auth": {"user": "u", "password": "p4ss"}},
		"secret": ["one", "two"], "clients": [{"url": "x", "pin": 1234}, {"pin": null}]}`))
	if want := []string{"1234", "one", "p4ss", "t0ken", "two"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := s.Secrets([]byte(`{"token": 5`)); len(got) > 0 {
		t.Errorf("of no JSON: %q", got)
	}
	s = compile(t, `{"patternProperties": {"^s": {"writeOnly": true}}, "additionalProperties": {"items": {"writeOnly": true}}, "if": {"properties": {"z": {"writeOnly": true}}}}`)
	if got, want := s.Secrets([]byte(`{"s1": {"deep": ["a"]}, "x": ["b"], "z": "c", "y": "d"}`)), []string{"a", "b", "c"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestKeysAreAManual(t *testing.T) {
	got := compile(t, example).Keys()
	var lines []string
	for _, k := range got {
		line := fmt.Sprintf("%s|%s|%s|%s|%s", k.Path, k.Type, k.Unit, k.Default, k.Allowed)
		if k.Required {
			line += "|required"
		}
		if k.Secret {
			line += "|secret"
		}
		lines = append(lines, line)
	}
	want := []string{
		"token|a string||||required|secret", "chat|a string||||required", "timeout|a whole number|milliseconds|3000|at least 100",
		"port|a whole number|||1 to 65535", "ratio|a number|||", "mode||||fast, safe, 3", "step|a whole number|||", "name|a string|||",
		"on|true or false|||", "none||||", "one||||", "tags|a list of strings|||",
		"proxy|a string or an object|||", "proxy.host|a string||||required", "proxy.auth|an object|||", "proxy.auth.user|a string|||", "proxy.auth.password|a string||||secret",
		"secret|a string or a list of strings||||secret", "headers|an object|||", "headers.*|a string|||",
		"clients|a list of objects|||", "clients[].url|a string||||required", "clients[].pin|a whole number||||secret",
	}
	if !reflect.DeepEqual(lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(example), []byte(`{"token": "x", "clients": [{}]}`))
	f.Add([]byte(`{"$ref": "#"}`), []byte(`{"a": [null, 1e5]}`))
	f.Add([]byte(`{"propertyNames": false, "unevaluatedProperties": {"anyOf": []}}`), []byte(`{"a": 1}`))
	f.Fuzz(func(t *testing.T, text, section []byte) {
		s, err := Compile(text)
		if err != nil {
			return
		}
		for _, fault := range s.Check(section, unknown) {
			if fault.Message == "" {
				t.Errorf("%q has no message", fault.Path)
			}
		}
		s.Secrets(section)
		s.Keys()
	})
}
