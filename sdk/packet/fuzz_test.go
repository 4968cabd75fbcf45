package packet

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParse feeds every parser with the same bytes, and holds what they take
// against encoding/json.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"cmd":"MESSAGE","data":{"sendType":"personal","target":"phone","message":{"text":"a\u00e9\n","desp":5,"extra":{"n":9007199254740993}}},"auth":"x"}`,
		`{"cmd":"MESSAGE_CALLBACK","data":{"mid":"1596543210123"}}`,
		`{"cmd":"AUTH","data":{"token":"t","name":"phone","group":null}}`,
		`{"title":"t","a":[1,{"b":"\ud83d\ude00"}],"desp":null}`,
		`{"cmd":"PING"}`, `[]`, `{"a":"\ud800\u0000"}`,
		`{"cmd":"MESSAGE","data":{"sendType":"group","target":-1.5e+3,"message":{"text":"\ud800\u0041\udc00\"\\\/","Text":1,"desp":true,"extra":{},"extra":[]},"message":{"extra":{"a" : 1}}}}`,
		strings.Repeat(`{"a":[`, 40),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		valid := json.Valid(in) && utf8.Valid(in)
		switch err := Check(in); {
		case err == nil && !valid:
			t.Fatalf("Check took %q", in)
		case err != nil && valid && err != errTooDeep:
			t.Fatalf("Check refused %q: %v", in, err)
		case err != nil:
			if _, err := Parse(in); err == nil {
				t.Fatalf("Parse took %q", in)
			}
			return
		}
		if p, err := Parse(in); err == nil {
			var want map[string]json.RawMessage
			if err := json.Unmarshal(in, &want); err != nil {
				t.Fatalf("Parse took %q: %v", in, err)
			}
			var cmd string
			if json.Unmarshal(want["cmd"], &cmd) != nil || cmd != p.Cmd || !bytes.Equal(want["data"], p.Data) {
				t.Fatalf("%q: got %q %q", in, p.Cmd, p.Data)
			}
			_ = p.Auth()
			_, _ = ParseCallback(p.Data)
			_, _ = ParseLogin(p.Data)
			if s, err := ParseSend(p.Data); err == nil {
				sameTexts(t, p.Data, s)
				roundTrip(t, s)
			}
		}
		if s, err := ParseFlat(in); err == nil {
			roundTrip(t, s)
		}
		// Any document may stand where a command's data is.
		_, _ = ParseCallback(in)
		_, _ = ParseLogin(in)
		_, _ = ParseSend(in)
	})
}

// sameTexts holds what was taken of a MESSAGE's data against what encoding/json
// reads there. Only maps keep apart keys that differ in case.
func sameTexts(t *testing.T, data []byte, s Send) {
	t.Helper()
	var want, message map[string]json.RawMessage
	if json.Unmarshal(data, &want) != nil || json.Unmarshal(want["message"], &message) != nil {
		t.Fatalf("taken: %s", data)
	}
	for _, field := range []struct {
		raw json.RawMessage
		got string
	}{{want["sendType"], s.SendType}, {want["target"], s.Target}, {message["text"], s.Text}, {message["desp"], s.Desp}} {
		text := string(field.raw)
		if text == "null" {
			text = ""
		}
		if strings.HasPrefix(text, `"`) && json.Unmarshal(field.raw, &text) != nil {
			t.Fatalf("%s in %s", field.raw, data)
		}
		if field.got != text {
			t.Fatalf("%s was read as %q", field.raw, field.got)
		}
	}
	extra := message["extra"]
	if isObject := len(extra) > 0 && extra[0] == '{'; isObject != (s.Extra != nil) || isObject && !bytes.Equal(extra, s.Extra) {
		t.Fatalf("%s was read as %s", extra, s.Extra)
	}
}

// roundTrip makes the packet that a receiver gets, and reads it as one would.
func roundTrip(t *testing.T, s Send) {
	t.Helper()
	out := AppendMessage(nil, Message{Mid: "1", SendType: s.SendType, Target: s.Target, Text: s.Text, Desp: s.Desp, Extra: s.Extra})
	var got struct {
		Data struct {
			Target  string
			Message struct {
				Text, Desp string
				Extra      json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	if bytes.ContainsAny(out, "\r\n") || got.Data.Target != s.Target ||
		got.Data.Message.Text != strings.ToValidUTF8(s.Text, "\ufffd") || got.Data.Message.Desp != s.Desp || got.Data.Message.Extra[0] != '{' {
		t.Fatalf("%+v became %s", s, out)
	}
}
