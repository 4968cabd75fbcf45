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
