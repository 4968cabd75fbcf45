package packet

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The golden files hold the packets that are served now. Clients in the field
// depend on them: a change here is a change of the wire.
func TestPacketsAreAsServed(t *testing.T) {
	packets := map[string][]byte{
		"message_personal": AppendMessage(nil, Message{
			Mid: "1596543210123", SendType: Personal, Target: "phone", FromMethod: "http",
			Text: "title", Desp: "body", Extra: []byte(`{"a":"233","b":{"hello":"world"}}`),
		}),
		"message_group": AppendMessage(nil, Message{
			Mid: "1596543210124", SendType: Group, Target: "家", FromMethod: "websocket", FromName: "pc",
		}),
		"message_extra": AppendMessage(nil, Message{
			Mid: "1596543210125", SendType: Personal, Target: "phone", FromMethod: "http",
			Extra: []byte(`{ "n": 9007199254740993123, "x": 1.50e+2, "nil":null, "uni":"\u4f60好", "list":[1, {"a":[]}] }`),
		}),
		"message_extra_lines": AppendMessage(nil, Message{
			Mid: "1596543210126", SendType: Personal, Target: "phone", FromMethod: "http",
			Extra: []byte("{\n  \"n\": 9007199254740993,\r\n  \"s\": \"a b\"\n}"),
		}),
		"message_escapes": AppendMessage(nil, Message{
			Mid: "1596543210127", SendType: Personal, Target: `a/"b"\c`, FromMethod: "http",
			Text: "<b>&\x00\x1f\b\f\n\r\t\u2028\u2029", Desp: "bad \xff\xc3 utf-8 \U0001F600",
		}),
		"reply":             AppendReply(nil, 1596543210123, []Status{{"phone", "ok"}}),
		"reply_group":       AppendReply(nil, 1596543210123, []Status{{"a", "ok"}, {"b", "ready"}, {"c", "webpush-ok-comfirm"}}),
		"reply_nobody":      AppendReply(nil, 0, []Status{{"ghost", "no"}}),
		"reply_empty_group": AppendReply[Status](nil, 0, nil),
		"reply_odd_names":   AppendReply(nil, 7, []Status{{"mid", "ok"}, {"status", "wait"}, {`"`, "no"}}),
		"auth_200":          AppendSession(nil, "aaa.bbb.ccc", nil),
		"auth_200_announced": AppendSession(nil, "aaa.bbb.ccc", map[string][]byte{
			"webpushServerKey": []byte(`"BKey"`), "limits": []byte(`{"a":1}`),
			"code": []byte(`403`), "msg": []byte(`"no"`), "auth": []byte(`"forged"`), "broken": []byte(`{`),
		}),
		"auth_401": AppendRefusal(nil, 401, "Need Auth"),
		"auth_403": AppendRefusal(nil, 403, "Token invalid"),
		"info":     AppendInfo(nil, `unknown command "X"`),
		"pong":     AppendPong(nil),
	}
	for name, packet := range packets {
		path := filepath.Join("testdata", "golden", name+".json")
		if *update {
			if err := os.WriteFile(path, append(packet, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if want = bytes.TrimSuffix(want, []byte("\n")); !bytes.Equal(packet, want) {
			t.Errorf("%s:\n got %s\nwant %s", name, packet, want)
		}
		if !json.Valid(packet) || bytes.ContainsAny(packet, "\r\n") {
			t.Errorf("%s: not one line of JSON: %q", name, packet)
		}
	}
	files, err := os.ReadDir(filepath.Join("testdata", "golden"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(packets) {
		t.Errorf("%d golden files for %d packets", len(files), len(packets))
	}
}

func TestAppendStringEscapesAsEncodingJSONDoes(t *testing.T) {
	for r := rune(0); r <= 0x3000; r++ {
		s := "a" + string(r) + "b"
		var want bytes.Buffer
		encoder := json.NewEncoder(&want)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(s); err != nil {
			t.Fatal(err)
		}
		if got := string(AppendString(nil, s)) + "\n"; got != want.String() {
			t.Errorf("%U: got %s, want %s", r, got, want.String())
		}
	}
}

func TestAppendKeepsWhatIsThere(t *testing.T) {
	for _, got := range [][]byte{
		AppendMessage([]byte("x"), Message{}), AppendReply[Status]([]byte("x"), 1, nil), AppendInfo([]byte("x"), ""),
		AppendSession([]byte("x"), "", nil), AppendRefusal([]byte("x"), 1, ""), AppendPong([]byte("x")),
	} {
		if !bytes.HasPrefix(got, []byte(`x{"cmd":`)) {
			t.Errorf("got %s", got)
		}
	}
}
