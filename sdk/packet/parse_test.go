package packet

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, row := range []struct{ in, cmd, data, auth string }{
		{`{"cmd":"PING"}`, "PING", "", ""},
		{` { "cmd" : "PING" , "data" : "" } `, "PING", `""`, ""},
		{`{"data":{"mid":"1"},"cmd":"MESSAGE_CALLBACK","auth":"a.b.c"}`, "MESSAGE_CALLBACK", `{"mid":"1"}`, "a.b.c"},
		{`{"\u0063md":"A\u0055TH","data":[1, 2]}`, "AUTH", `[1, 2]`, ""},
		{`{"cmd":"A","cmd":"B","data":1,"data":2,"auth":"x","auth":"y"}`, "B", "2", "y"},
		{`{"cmd":"A","data":null,"auth":null,"more":{"cmd":"no"}}`, "A", "null", ""},
		{`{"cmd":"A","CMD":"B","Data":1}`, "A", "", ""},
		{`{"cmd":"A","auth":5}`, "A", "", "5"},
	} {
		p, err := Parse([]byte(row.in))
		if err != nil || p.Cmd != row.cmd || string(p.Data) != row.data || p.Auth() != row.auth {
			t.Errorf("%s: got %q %q %q %v", row.in, p.Cmd, p.Data, p.Auth(), err)
		}
	}
	for in, want := range map[string]string{
		``:                            "not JSON: it ends too early",
		`{"cmd":"A"`:                  "not JSON: it ends too early",
		`{"cmd":"A"}}`:                "not JSON: unexpected '}' at byte 12",
		`5`:                           "expected a packet: a JSON object",
		`[]`:                          "expected a packet: a JSON object",
		`"cmd"`:                       "expected a packet: a JSON object",
		`{}`:                          "cmd: expected a string",
		`{"cmd":null}`:                "cmd: expected a string",
		`{"cmd":5}`:                   "cmd: expected the name of a command",
		`{"cmd":""}`:                  "cmd: expected the name of a command",
		`{"cmd":["A"]}`:               "cmd: expected the name of a command",
		`{"cmd":"A","auth":{}}`:       "auth: expected a string",
		"{\"cmd\":\"A\xff\"}":         "not valid UTF-8",
		`{"cmd":"A","data":` + deep(): "nested deeper than 64 levels",
		`{"cmd":"` + strings.Repeat("A", 65) + `"}`: "cmd: expected the name of a command",
	} {
		if _, err := Parse([]byte(in)); err == nil || err.Error() != want {
			t.Errorf("%.60s: got %v, want %s", in, err, want)
		}
	}
	if _, err := Parse([]byte(`{"text":"a"}`)); !errors.Is(err, ErrNoCommand) {
		t.Errorf("no cmd: %v", err)
	}
}

func deep() string { return strings.Repeat("[", 10_000) }

func TestParseForm(t *testing.T) {
	p, err := ParseForm("MESSAGE", ` {"a":1} `, `q"t`)
	if err != nil || p.Cmd != "MESSAGE" || string(p.Data) != `{"a":1}` || p.Auth() != `q"t` {
		t.Errorf("got %q %q %q %v", p.Cmd, p.Data, p.Auth(), err)
	}
	if p, err := ParseForm("TEST_HTTP", "", ""); err != nil || p.Data != nil || p.Auth() != "" {
		t.Errorf("got %q %q %v", p.Data, p.Auth(), err)
	}
	if _, err := ParseForm("A", "{", ""); err == nil || !strings.HasPrefix(err.Error(), "data: not JSON") {
		t.Errorf("broken data: %v", err)
	}
	if _, err := ParseForm("", "{}", ""); err == nil {
		t.Error("no cmd was taken")
	}
}

func TestParseCallback(t *testing.T) {
	for in, want := range map[string]int64{
		`{"mid":"1596543210123"}`:     1596543210123,
		`{"mid":1596543210123}`:       1596543210123,
		`{"mid":"\u0031"}`:            1,
		`{"mid":9223372036854775807}`: 9223372036854775807,
		`{"mid":1,"mid":"2","x":{}}`:  2,
	} {
		if mid, err := ParseCallback([]byte(in)); err != nil || mid != want {
			t.Errorf("%s: got %d %v", in, mid, err)
		}
	}
	for in, place := range map[string]string{
		``: "data: ", `null`: "data: ", `"5"`: "data: ", `[]`: "data: ", `{}`: "data.mid: ", `{"mid":null}`: "data.mid: ",
		`{"mid":{}}`: "data.mid: ", `{"mid":[1]}`: "data.mid: ", `{"mid":"a"}`: "data.mid: ", `{"mid":""}`: "data.mid: ",
		`{"mid":-1}`: "data.mid: ", `{"mid":1.0}`: "data.mid: ", `{"mid":1e3}`: "data.mid: ", `{"mid":true}`: "data.mid: ",
		`{"mid":9223372036854775808}`: "data.mid: ", `{"mid":" 1"}`: "data.mid: ", `{"mid":"+1"}`: "data.mid: ",
	} {
		if _, err := ParseCallback([]byte(in)); err == nil || !strings.HasPrefix(err.Error(), place) {
			t.Errorf("%s: got %v", in, err)
		}
	}
}

func TestParseLogin(t *testing.T) {
	for in, want := range map[string]Login{
		`{"token":"t","name":"phone","group":"g"}`: {"t", "phone", "g"},
		`{"token":5,"name":true,"group":null}`:     {"5", "true", ""},
		`{"name":"a\u00e9","group":"null"}`:        {"", "aé", "null"},
		`{}`:                                       {},
		`{"name":""}`:                              {},
	} {
		if got, err := ParseLogin([]byte(in)); err != nil || got != want {
			t.Errorf("%s: got %+v %v", in, got, err)
		}
	}
	for in, want := range map[string]string{
		`null`:                "data: expected an object",
		`{"token":{}}`:        "data.token: expected a string",
		`{"name":[]}`:         "data.name: expected a string",
		`{"group":{"a":1}}`:   "data.group: expected a string",
		`{"name":"a\u0000"}`:  "data.name: control characters are not allowed",
		`{"group":"a\u0007"}`: "data.group: control characters are not allowed",
		`{"name":"` + strings.Repeat("x", 257) + `"}`: "data.name: longer than 256 bytes",
	} {
		if _, err := ParseLogin([]byte(in)); err == nil || err.Error() != want {
			t.Errorf("%.40s: got %v, want %s", in, err, want)
		}
	}
}

func TestParseSend(t *testing.T) {
	for in, want := range map[string]Send{
		`{"sendType":"personal","target":"phone","message":{"text":"a","desp":"b","extra":{"n": 9007199254740993}}}`:         {Personal, "phone", "a", "b", []byte(`{"n": 9007199254740993}`), ""},
		`{"sendType":"group","target":"g","message":{}}`:                                                                     {Group, "g", "", "", nil, ""},
		`{"sendType":"personal","target":5,"message":{"text":1.50,"desp":false}}`:                                            {Personal, "5", "1.50", "false", nil, ""},
		`{"sendType":"personal","target":"p","message":{"text":null,"desp":null,"extra":null}}`:                              {Personal, "p", "", "", nil, ""},
		`{"sendType":"personal","target":"p","message":{"extra":[1]}}`:                                                       {Personal, "p", "", "", nil, ""},
		`{"sendType":"personal","target":"p","message":{"extra":"x"}}`:                                                       {Personal, "p", "", "", nil, ""},
		`{"sendType":"personal","target":"p","message":{"text":"\ud83d\ude00\ud800x\udc00\u0000"}}`:                          {Personal, "p", "\U0001F600\ufffdx\ufffd\x00", "", nil, ""},
		`{"sendType":"group","sendType":"personal","target":"a","target":"p","message":5,"message":{"text":"1","text":"2"}}`: {Personal, "p", "2", "", nil, ""},
		`{"sendType":"personal","target":"p","idempotencyKey":7,"message":{"text":"a"}}`:                                     {Personal, "p", "a", "", nil, "7"},
	} {
		if got, err := ParseSend([]byte(in)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v %v", in, got, err)
		}
	}
	for in, want := range map[string]string{
		`null`:                        "data: expected an object",
		`{"target":"p","message":{}}`: `data.sendType: expected "personal" or "group"`,
		`{"sendType":"all","target":"p","message":{}}`:                          `data.sendType: expected "personal" or "group"`,
		`{"sendType":{},"target":"p","message":{}}`:                             `data.sendType: expected "personal" or "group"`,
		`{"sendType":"personal","message":{}}`:                                  "data.target: expected a name, not nothing",
		`{"sendType":"group","target":"","message":{}}`:                         "data.target: expected a name, not nothing",
		`{"sendType":"personal","target":["p"],"message":{}}`:                   "data.target: expected a string",
		`{"sendType":"personal","target":"a\n","message":{}}`:                   "data.target: control characters are not allowed",
		`{"sendType":"personal","target":"p"}`:                                  "data.message: expected an object",
		`{"sendType":"personal","target":"p","message":"hi"}`:                   "data.message: expected an object",
		`{"sendType":"personal","target":"p","message":{"text":{}}}`:            "data.message.text: expected a string",
		`{"sendType":"personal","target":"p","message":{"desp":[]}}`:            "data.message.desp: expected a string",
		`{"sendType":"personal","target":"p","message":{"text":"a","desp":{}}}`: "data.message.desp: expected a string",
	} {
		if _, err := ParseSend([]byte(in)); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", in, err, want)
		}
	}
}

func TestParseFlat(t *testing.T) {
	for in, want := range map[string]Send{
		`{}`:                      {},
		`{"text":"a","desp":"b"}`: {Text: "a", Desp: "b"},
		`{"title":"t","desp":5}`:  {Text: "t", Desp: "5"},
		`{"text":null,"title":"t","extra":{"n":9007199254740993},"l":[ 1 ],"z":null}`: {Text: "t", Extra: []byte(`{"extra":{"n":9007199254740993},"l":[ 1 ],"z":null}`)},
		`{"text":"a","title":"t"}`:  {Text: "a", Extra: []byte(`{"title":"t"}`)},
		`{"title":"t","text":"a"}`:  {Text: "a", Extra: []byte(`{"title":"t"}`)},
		`{"te\u0078t":"a","b":"c"}`: {Text: "a", Extra: []byte(`{"b":"c"}`)},
	} {
		if got, err := ParseFlat([]byte(in)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v %q %v", in, got, got.Extra, err)
		}
	}
	for in, want := range map[string]string{
		`[]`: "expected a JSON object", `{"text":[]}`: "text: expected a string", `{"title":{}}`: "title: expected a string",
		`{"text":"a","desp":{}}`: "desp: expected a string",
	} {
		if _, err := ParseFlat([]byte(in)); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", in, err, want)
		}
	}
}

func BenchmarkParseCallback(b *testing.B) {
	in := []byte(`{"cmd":"MESSAGE_CALLBACK","data":{"mid":"1596543210123"}}`)
	b.ReportAllocs()
	for b.Loop() {
		p, _ := Parse(in)
		if _, err := ParseCallback(p.Data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseSend(b *testing.B) {
	in := []byte(`{"cmd":"MESSAGE","data":{"sendType":"personal","target":"phone","message":{"text":"hello","desp":"world","extra":{"a":1}}}}`)
	b.ReportAllocs()
	for b.Loop() {
		p, _ := Parse(in)
		if _, err := ParseSend(p.Data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendMessage(b *testing.B) {
	for _, text := range []string{"hello", "你好\n"} {
		m := Message{Mid: "1596543210123", SendType: Personal, Target: "phone", FromMethod: "http", Text: text, Desp: "world", Extra: []byte(`{"a":1}`)}
		b.Run(strconv.Quote(text), func(b *testing.B) {
			buffer := make([]byte, 0, 512)
			b.ReportAllocs()
			for b.Loop() {
				buffer = AppendMessage(buffer[:0], m)
			}
		})
	}
}
