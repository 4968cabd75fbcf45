package sdk

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"mpush/sdk/pluginpb"
)

type limits struct {
	Depth int `json:"depth"`
}

type settings struct {
	limits
	Host    string            `json:"host"`
	Port    uint16            `json:"port"`
	Small   int8              `json:"small"`
	Count   int64             `json:"count"`
	Ratio   float64           `json:"ratio"`
	On      bool              `json:"on"`
	Timeout time.Duration     `json:"timeout"`
	Clients []client          `json:"clients"`
	Names   []string          `json:"names"`
	Headers map[string]string `json:"headers"`
	Proxy   *client           `json:"proxy"`
	Raw     json.RawMessage   `json:"raw"`
	Any     any               `json:"any"`
	Net     netip.Prefix      `json:"net"`
	Plain   string
}

type client struct {
	Name string `json:"name"`
	URL  string `json:"url"`
	Max  int    `json:"max"`
}

func TestDecodeFillsAStruct(t *testing.T) {
	got := settings{Host: "kept", Names: []string{"a", "b"}, Timeout: time.Second, Ratio: 0.5}
	config := NewConfig("c", []byte(`{
		"port": 65535, "small": -128, "count": 9223372036854775807, "ratio": 1.5, "on": true, "timeout": 3000,
		"clients": [{"name": "x", "url": "u", "max": 1}, {}], "names": ["c"], "headers": {"a": "b"},
		"proxy": {"name": "p"}, "raw": {"n": 12345678901234567890}, "any": [1, "two"], "net": "10.0.0.0/8", "plain": "p", "host": null
	}`))
	if err := config.Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := settings{
		Host: "kept", Port: 65535, Small: -128, Count: 9223372036854775807, Ratio: 1.5, On: true, Timeout: 3 * time.Second,
		Clients: []client{{"x", "u", 1}, {}}, Names: []string{"c"}, Headers: map[string]string{"a": "b"},
		Proxy: &client{Name: "p"}, Raw: json.RawMessage(`{"n":12345678901234567890}`), Any: []any{json.Number("1"), "two"},
		Net: netip.MustParsePrefix("10.0.0.0/8"), Plain: "p",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeOfNothingKeepsDefaults(t *testing.T) {
	for _, section := range []string{"", "  ", "null", "{}"} {
		got := settings{Host: "kept"}
		if err := NewConfig("c", []byte(section)).Decode(&got); err != nil || got.Host != "kept" {
			t.Errorf("%q: %+v, %v", section, got, err)
		}
	}
}

func TestDecodeNamesWhatIsWrong(t *testing.T) {
	for _, test := range []struct{ section, want string }{
		{`{"host": 5}`, `host: expected a string, got a number`},
		{`{"host": true}`, `host: expected a string, got true or false`},
		{`{"port": "80"}`, `port: expected a number, got a string`},
		{`{"port": -1}`, `port: -1 is out of range, 0 to 65535`},
		{`{"port": 65536}`, `port: 65536 is out of range, 0 to 65535`},
		{`{"port": 80.5}`, `port: expected a whole number, got 80.5`},
		{`{"port": 99999999999999999999}`, `port: 99999999999999999999 is out of range, 0 to 65535`},
		{`{"small": 128}`, `small: 128 is out of range, -128 to 127`},
		{`{"count": 9223372036854775808}`, `count: 9223372036854775808 is out of range, -9223372036854775808 to 9223372036854775807`},
		{`{"count": 1e3}`, `count: expected a whole number, got 1e3`},
		{`{"ratio": 1e999}`, `ratio: 1e999 is out of range`},
		{`{"ratio": []}`, `ratio: expected a number, got a list`},
		{`{"on": "yes"}`, `on: expected true or false, got a string`},
		{`{"on": 1}`, `on: expected true or false, got a number`},
		{`{"timeout": "3s"}`, `timeout: expected a number of milliseconds, got a string`},
		{`{"timeout": 0.5}`, `timeout: expected a whole number, got 0.5`},
		{`{"timeout": 9223372036855}`, `timeout: 9223372036855 is out of range, 0 to 9223372036854`},
		{`{"timeout": -1}`, `timeout: -1 is out of range, 0 to 9223372036854`},
		{`{"names": ["a", null]}`, `names[1]: expected a value, got null`},
		{`{"clients": [null]}`, `clients[0]: expected a value, got null`},
		{`{"clients": {}}`, `clients: expected a list, got an object`},
		{`{"clients": [1]}`, `clients[0]: expected an object, got a number`},
		{`{"clients": [{}, {"url": {}}]}`, `clients[1].url: expected a string, got an object`},
		{`{"clients": [{"uri": 1}]}`, `clients[0].uri: unknown key`},
		{`{"proxy": {"max": "1"}}`, `proxy.max: expected a number, got a string`},
		{`{"headers": {"a": 1}}`, `headers[a]: expected a string, got a number`},
		{`{"net": "10.0.0.0"}`, `net: netip.ParsePrefix("10.0.0.0"): no '/'`},
		{`{"net": 10}`, `net: expected a string, got a number`},
		{`{"depth": ""}`, `depth: expected a number, got a string`},
		{`{"nope": 1}`, `nope: unknown key`},
		{`{"plain": 1}`, `plain: expected a string, got a number`},
		{`{"port": "x", "nope": 1, "clients": [{"a": 1, "b": 2}], "also": 1}`,
			"also: unknown key\nclients[0].a: unknown key\nclients[0].b: unknown key\nnope: unknown key\nport: expected a number, got a string"},
		{`[]`, `expected an object, got a list`},
		{`5`, `expected an object, got a number`},
		{`{} {}`, `more than one JSON value`},
		{`{"a"`, `not JSON: unexpected EOF`},
	} {
		var got settings
		err := NewConfig("c", []byte(test.section)).Decode(&got)
		if err == nil || err.Error() != test.want {
			t.Errorf("%s:\ngot  %v\nwant %s", test.section, err, test.want)
		}
	}
}

func TestDecodeNeedsAPointer(t *testing.T) {
	if err := NewConfig("c", []byte(`{}`)).Decode(settings{}); err == nil {
		t.Error("no error")
	}
}

func TestEachFaultIsADiagnostic(t *testing.T) {
	err := errors.Join(
		Invalid("a.b", "is %d", 5),
		fmt.Errorf("while reading: %w", errors.Join(Invalid("c", "bad"), errors.Join(Invalid("", "whole")))),
		errors.New("something else"),
	)
	var got []string
	for _, d := range diagnostics(err) {
		if d.GetSeverity() != pluginpb.Severity_SEVERITY_ERROR {
			t.Errorf("severity of %v", d)
		}
		got = append(got, d.GetPath()+"|"+d.GetMessage())
	}
	want := []string{"a.b|is 5", "c|bad", "|whole", "|something else"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if diagnostics(nil) != nil {
		t.Error("no error has a diagnostic")
	}
}

func TestWarningsAreDiagnostics(t *testing.T) {
	config := NewConfig("c", nil)
	config.Warn("timeout", "raised to %d", 100)
	got := config.remarks()
	if len(got) != 1 || got[0].GetSeverity() != pluginpb.Severity_SEVERITY_WARNING || got[0].GetPath() != "timeout" || got[0].GetMessage() != "raised to 100" {
		t.Errorf("got %v", got)
	}
}
