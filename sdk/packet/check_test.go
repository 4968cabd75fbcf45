package packet

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/quick"
)

func TestCheckRefusesWhatIsNotJSON(t *testing.T) {
	for _, text := range []string{
		``, ` `, `{`, `}`, `[`, `]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `[1,]`, `[,1]`, `{,"a":1}`, `{a:1}`, `{'a':1}`,
		`tru`, `nul`, `falsy`, `truex`, `01`, `-`, `+1`, `1.`, `.5`, `1e`, `1e+`, `0x1`, `NaN`, `"`, `"\"`, `"\x"`, `"\u12"`,
		`"\u12g4"`, "\"\n\"", "\"\x00\"", `1 2`, `{} {}`, `{"a":1}x`, "\xef\xbb\xbf{}", `[1}`, `{"a":1]`, `{"a":1 "b":2}`, `//`,
	} {
		if err := Check([]byte(text)); err == nil {
			t.Errorf("%q was taken", text)
		}
		if json.Valid([]byte(text)) {
			t.Errorf("%q is JSON: the row is wrong", text)
		}
	}
	if err := Check([]byte("\"a\xff\"")); err == nil || !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("invalid UTF-8: %v", err)
	}
}

func TestCheckTakesWhatIsJSON(t *testing.T) {
	for _, text := range []string{
		`0`, `-0`, `-1.5e-7`, `1E5`, `12345678901234567890123456789`, ` "a" `, `"\u0000\ud83d\ude00\ud800\"\\\/\b\f\n\r\t"`, `true`, `false`, `null`,
		`{}`, `[]`, " { } ", "\t[\r\n] ", `{"a":[1,{"b":null}],"a":""}`, `[[],[[]]]`, `"` + "\x7f\u2028" + `"`,
	} {
		if err := Check([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if !json.Valid([]byte(text)) {
			t.Errorf("%q is not JSON: the row is wrong", text)
		}
	}
}

// Whatever a shuffled alphabet of JSON makes up, both agree on it.
func TestCheckAgreesWithEncodingJSON(t *testing.T) {
	alphabet := []string{`{`, `}`, `[`, `]`, `:`, `,`, `"a"`, `"`, `\`, `1`, `0`, `-`, `.`, `e`, `true`, `null`, ` `, "\n", `u12ab`}
	agree := func(picks []uint8) bool {
		var text strings.Builder
		for _, p := range picks[:min(len(picks), 12)] {
			text.WriteString(alphabet[int(p)%len(alphabet)])
		}
		return (Check([]byte(text.String())) == nil) == json.Valid([]byte(text.String()))
	}
	if err := quick.Check(agree, &quick.Config{MaxCount: 20000}); err != nil {
		t.Error(err)
	}
}

func TestCheckLimitsDepth(t *testing.T) {
	nest := func(open, closing string, n int) []byte {
		return []byte(strings.Repeat(open, n) + "1" + strings.Repeat(closing, n))
	}
	for _, b := range [][2]string{{"[", "]"}, {`{"a":`, "}"}} {
		if err := Check(nest(b[0], b[1], MaxDepth)); err != nil {
			t.Errorf("%s at the limit: %v", b[0], err)
		}
		if err := Check(nest(b[0], b[1], MaxDepth+1)); err != errTooDeep {
			t.Errorf("%s over the limit: %v", b[0], err)
		}
		if err := Check([]byte(strings.Repeat(b[0], 1<<20))); err != errTooDeep {
			t.Errorf("a million levels: %v", err)
		}
	}
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"a", "null", "电话", "a.b/c d", strings.Repeat("x", MaxNameBytes)} {
		if err := CheckName("place", name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "a\x00", "\n", "a\x7f", "a\u0085", "\xff", strings.Repeat("x", MaxNameBytes+1)} {
		if err := CheckName("place", name); err == nil || !strings.HasPrefix(err.Error(), "place: ") {
			t.Errorf("%q: %v", name, err)
		}
	}
}
