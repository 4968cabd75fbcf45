package webhook

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

// headersOf are those that matter, sorted, in lines.
func headersOf(h http.Header) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(h)) {
		lines = append(lines, fmt.Sprintf("%s: %q", name, h[name]))
	}
	return strings.Join(lines, "\n")
}

func TestGetPutsTheMessageIntoTheQuery(t *testing.T) {
	e := listen(t, nil)
	b := start(t, clientsOf(clientOf("wh1", e.URL+"/mpush", `"method":"get"`)), plugintest.Options{})
	mid := b.Deliver("wh1", &pluginpb.Message{
		FromMethod: "websocket", FromName: "someone", Text: "text10", Desp: "desp10",
		Extra: []byte(`{"a": "233", "b": { "hello": "world" }}`),
	})
	b.expect(t, acked)
	got := e.next(t)
	want := fmt.Sprintf("/mpush?sendType=personal&target=wh1&fromMethod=websocket&fromName=someone&mid=%d&text=text10&desp=desp10&a=233&b=%%7B%%22hello%%22%%3A%%22world%%22%%7D", mid)
	if got.method != "GET" || got.uri != want || got.body != "" {
		t.Errorf("got  %s %s %q\nwant GET %s", got.method, got.uri, got.body, want)
	}
	if got, want := headersOf(got.header), "Authorization: [\""+token+"\"]\nUser-Agent: [\"mpush/"+sdk.Version+"\"]"; got != want {
		t.Errorf("headers\n%s\nwant\n%s", got, want)
	}
}

func TestPostSendsThePacket(t *testing.T) {
	e := listen(t, nil)
	b := start(t, clientsOf(clientOf("wh1", e.URL+"/hook?key=1", `"group":"g"`, `"method":"Post"`)), plugintest.Options{})
	if group, ok := b.Group("wh1"); !ok || group != "g" {
		t.Errorf("declared in the group %q, %v", group, ok)
	}
	mid := b.Deliver("wh1", &pluginpb.Message{
		SendType: sdk.Group, Target: "g", Text: "é€😀", Desp: "a\nb",
		Extra: []byte(`{"n":123456789012345678901234567890,"o":{"a":null},"z":null}`),
	})
	b.expect(t, acked)
	got := e.next(t)
	body := fmt.Sprintf(`{"cmd":"MESSAGE","data":{"sendType":"group","target":"g","from":{"method":"http","name":""},"mid":"%d",`+
		`"message":{"text":"é€😀","desp":"a\nb","extra":{"n":123456789012345678901234567890,"o":{"a":null},"z":null}}}}`, mid)
	if got.method != "POST" || got.uri != "/hook?key=1" || got.body != body {
		t.Errorf("got  %s %s %s\nwant POST /hook?key=1 %s", got.method, got.uri, got.body, body)
	}
	want := fmt.Sprintf("Authorization: [%q]\nContent-Length: [\"%d\"]\nContent-Type: [\"application/json\"]\nUser-Agent: [\"mpush/%s\"]", token, len(body), sdk.Version)
	if got := headersOf(got.header); got != want {
		t.Errorf("headers\n%s\nwant\n%s", got, want)
	}
}

func TestQueryForms(t *testing.T) {
	seven := func(mid int64, text string) string {
		return fmt.Sprintf("sendType=personal&target=wh1&fromMethod=http&fromName=&mid=%d&text=%s&desp=", mid, text)
	}
	for _, test := range []struct {
		name, url string // what comes behind the host
		extra     string
		before    string // of the seven
		after     string
	}{
		{"no extra", "", `{}`, "/?", ""},
		{"own query", "/p?key=a+b%20c&flag&key=2", `{"x":1}`, "/p?key=a+b%20c&flag&key=2&", "&x=1"},
		{"empty query", "/p?", `{"x":1}`, "/p?", "&x=1"},
		{"fragment", "/p?a=1#part", `{}`, "/p?a=1&", ""},
		{"escaped path", "/a%2Fb/%E4%BD%A0", `{}`, "/a%2Fb/%E4%BD%A0?", ""},
		{"path to escape", "/你 c", `{}`, "/%E4%BD%A0%20c?", ""},
		{"strings", "", `{"a":"","b":"1 + 1 = 2 & 3","c":"\"\\\n\u0000"}`, "/?", "&a=&b=1%20%2B%201%20%3D%202%20%26%203&c=%22%5C%0A%00"},
		{"unicode", "", `{"你好":"é😀","\u00e9":"\ud83d\ude00\u2028"}`, "/?", "&%E4%BD%A0%E5%A5%BD=%C3%A9%F0%9F%98%80&%C3%A9=%F0%9F%98%80%E2%80%A8"},
		{"numbers", "", `{"a":12345678901234567890123,"b":-0,"c":1.50,"d":1E+400,"e":0.1e-7}`, "/?", "&a=12345678901234567890123&b=-0&c=1.50&d=1E%2B400&e=0.1e-7"},
		{"words", "", `{"t":true,"f":false,"n":null}`, "/?", "&t=true&f=false"},
		{"nested", "", `{ "o" : { "a" : [ 1 , "x y" , null ] } , "l" : [ ] , "e":{"<>":12345678901234567890}}`, "/?",
			"&o=%7B%22a%22%3A%5B1%2C%22x%20y%22%2Cnull%5D%7D&l=%5B%5D&e=%7B%22%3C%3E%22%3A12345678901234567890%7D"},
		{"reserved names", "", `{"sendType":"a","target":"b","fromMethod":"c","fromName":"d","mid":"e","text":"f","desp":"g","Text":"h"}`, "/?", "&Text=h"},
		{"the operator's own", "/?key=1&k%65y2=2", `{"key":"evil","key2":"evil","key3":"3"}`, "/?key=1&k%65y2=2&", "&key3=3"},
		{"twice", "", `{"a":1,"b":2,"a":3}`, "/?", "&a=3&b=2"},
		{"no name", "", `{"":1}`, "/?", "&=1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := listen(t, nil)
			b := start(t, clientsOf(clientOf("wh1", e.URL+test.url, `"method":"GET"`)), plugintest.Options{})
			mid := b.Deliver("wh1", &pluginpb.Message{Text: "x", Extra: []byte(test.extra)})
			b.expect(t, acked)
			if got, want := e.next(t).uri, test.before+seven(mid, "x")+test.after; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// What comes out of a GET is, but for null, what went in.
func TestQueryIsReadAsItWasMeant(t *testing.T) {
	e := listen(t, nil)
	b := start(t, clientsOf(clientOf("wh 1/é", e.URL, `"method":"GET"`)), plugintest.Options{})
	extra := map[string]string{"a b": "c+d", "&=?#": "%41", "é": "\u2028\"", "k": strings.Repeat("ü ", 5000)}
	text, err := json.Marshal(extra)
	if err != nil {
		t.Fatal(err)
	}
	b.Deliver("wh 1/é", &pluginpb.Message{Text: "Ω&x=1", Extra: text})
	b.expect(t, acked)
	_, raw, _ := strings.Cut(e.next(t).uri, "?")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://h/?"+raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	query := request.URL.Query()
	if query.Get("target") != "wh 1/é" || query.Get("text") != "Ω&x=1" || len(query) != 7+len(extra) {
		t.Errorf("query %q", query)
	}
	for key, value := range extra {
		if query.Get(key) != value {
			t.Errorf("%q: %q, want %q", key, query.Get(key), value)
		}
	}
}

func TestAuthorizationIsTheTokenAsItIs(t *testing.T) {
	for name, test := range map[string]struct {
		member string
		o      plugintest.Options
		want   string
	}{
		"the relay's":     {`"group":""`, plugintest.Options{}, token},
		"the client's":    {`"token":"own t0ken"`, plugintest.Options{}, "own t0ken"},
		"none":            {`"token":""`, plugintest.Options{}, ""},
		"null":            {`"token":null`, plugintest.Options{}, token},
		"without a right": {`"group":""`, plugintest.Options{Withhold: true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := listen(t, nil)
			b := start(t, clientsOf(clientOf("wh1", e.URL, test.member)), test.o)
			b.Deliver("wh1", &pluginpb.Message{})
			b.expect(t, acked)
			if got := e.next(t).header["Authorization"]; len(got) != 1 || got[0] != test.want {
				t.Errorf("authorization %q, want %q", got, test.want)
			}
		})
	}
}

func FuzzFlatten(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1}`, ` { "a" : [ ] , "b" : null }`, `{"text":"x","mid":{}}`, `[]`, `{"a"`, `{"a":}`, ``, `{"\ud800":"\ud800"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, extra []byte) {
		fields := flatten(extra, map[string][]string{"text": nil})
		var members map[string]any
		if json.Unmarshal(extra, &members) != nil {
			return
		}
		left := 0
		for name, value := range members {
			if value != nil && name != "text" {
				left++
			}
		}
		if len(fields) != left {
			t.Errorf("%d fields, want %d: %q", len(fields), left, extra)
		}
		for _, field := range fields {
			if value, ok := members[field.name].(string); ok && value != field.value || field.name == "text" {
				t.Errorf("%q: %q, want %q", field.name, field.value, value)
			}
		}
	})
}
