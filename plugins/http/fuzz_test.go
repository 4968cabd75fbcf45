package http

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"testing"

	"mpush/sdk/packet"
)

// FuzzParams reads what may stand in a query or a form: it means what net/url
// says, and what is taken makes a message with a JSON object as its extra, or a
// packet.
func FuzzParams(f *testing.F) {
	for _, seed := range []string{
		"text=a&desp=b", "a=1&a=2&%41=3", "title=%E4%BD%A0+x&&=&=y", "a=%ff", "%", "\"=\n&\\=%00", "text=a&text=b&title=c", "a;b=c",
		"cmd=MESSAGE&data=%7B%22sendType%22%3A%22group%22%2C%22target%22%3A%22g%22%2C%22message%22%3A%7B%22extra%22%3A%7B%7D%7D%7D&auth=a.b.c",
		"cmd=MESSAGE_CALLBACK&data={\"mid\":\"1\"}", "cmd=AUTH&data=+{\"name\":5}+", "cmd=X&data=[[[", "cmd=&data=&auth=", "cmd=A&cmd=B",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		ps, err := parseParams(encoded)
		if err != nil {
			return
		}
		// A semicolon separates nothing here; net/url refuses it.
		if want, err := url.ParseQuery(encoded); err == nil {
			got := url.Values{}
			for _, p := range ps {
				got.Add(p.name, p.value)
			}
			if !maps.EqualFunc(got, want, slices.Equal) {
				t.Fatalf("%q is %q, not %q", encoded, got, want)
			}
		}
		var extra map[string]any
		if s, err := ps.send(); err == nil && s.Extra != nil && (packet.Check(s.Extra) != nil || json.Unmarshal(s.Extra, &extra) != nil || len(extra) == 0) {
			t.Fatalf("%q became %q", encoded, s.Extra)
		}
		cmd, _, err := ps.single("cmd")
		if err != nil {
			return
		}
		p, err := formPacket(ps, cmd)
		if err != nil {
			return
		}
		if p.Cmd != cmd || p.Data != nil && packet.Check(p.Data) != nil {
			t.Fatalf("%q became %+v", encoded, p)
		}
		_, _ = packet.ParseCallback(p.Data)
		_, _ = packet.ParseLogin(p.Data)
		if s, err := packet.ParseSend(p.Data); err == nil && packet.CheckName("", s.Target) != nil {
			t.Fatalf("%q is for %q", encoded, s.Target)
		}
	})
}

// FuzzTarget reads paths. What is taken names somebody.
func FuzzTarget(f *testing.F) {
	for _, seed := range []string{"/phone.send?x", "/a%2Fb.group", "/.send", "http://h/%", "/a%00.send", "x.send.group"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		target, ok, err := parseTarget(uri)
		if ok && err == nil && packet.CheckName("", target.name) != nil {
			t.Fatalf("%q names %q", uri, target.name)
		}
	})
}
