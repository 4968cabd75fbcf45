package schema

import (
	"strings"
	"testing"
)

func noUnknown(string, []string) string { return "" }

// A short expression can have millions of states, each of which every byte of a
// text meets.
func TestExpressionsThatRepeatTooMuchDoNotCompile(t *testing.T) {
	for _, text := range []string{
		`{"additionalProperties":{"pattern":"` + strings.Repeat(".{0,999}", 900) + `Z$"}}`,
		`{"additionalProperties":{"pattern":"((a{0,9}){0,9}){0,9}((b{0,10}){0,10}){0,10}` + strings.Repeat(".{0,900}", 25) + `"}}`,
		`{"patternProperties":{"` + strings.Repeat(".{0,999}", 24) + `":{"writeOnly":true}}}`,
	} {
		if _, err := Compile([]byte(text)); err == nil || !strings.Contains(err.Error(), "repeat too much") {
			t.Errorf("%.60s…: %v", text, err)
		}
	}
	if _, err := Compile([]byte(`{"patternProperties":{"^[a-z-]{1,256}$":{"pattern":"^(https?://[^ ]{1,1000}|[A-Za-z0-9+/]{86}==)$"}}}`)); err != nil {
		t.Error(err)
	}
}

func TestLargeExpressionOnALongTextTakesTooLong(t *testing.T) {
	s, err := Compile([]byte(`{"properties":{"a":{"pattern":"` + strings.Repeat(".{0,900}", 10) + `Z$"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	faults := s.Check([]byte(`{"a":"`+strings.Repeat("x", 64<<10)+`"}`), noUnknown)
	if len(faults) != 1 || !strings.Contains(faults[0].Message, "took too long") {
		t.Errorf("got %v", faults)
	}
}

func TestKeysOfASchemaThatRefersToItselfEnd(t *testing.T) {
	for _, text := range []string{
		`{"properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{"a":{"anyOf":[{"$ref":"#/$defs/a"},{"type":"string"}]}}}`,
		`{"allOf":[` + strings.Repeat(`{"$ref":"#"},`, 30) + `{"$ref":"#"}]}`,
		`{"properties":{"a":{"anyOf":[` + strings.Repeat(`{"$ref":"#/properties/a"},`, 100) + `{"type":"string"}]}}}`,
	} {
		s, err := Compile([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text, `"a"`) && s.Keys()[0].Type != "a string" {
			t.Errorf("got %v", s.Keys()[0])
		}
		s.Keys()
	}
}
