package http

import (
	"encoding/json"
	"testing"

	"mpush/sdk/packet"
)

// FuzzParams reads what may stand in a query or a form. What is taken makes a
// message with a JSON object as its extra.
func FuzzParams(f *testing.F) {
	for _, seed := range []string{"text=a&desp=b", "a=1&a=2&%41=3", "title=%E4%BD%A0+x&&=&=y", "a=%ff", "%", "\"=\n&\\=%00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		ps, err := parseParams(encoded)
		if err != nil {
			return
		}
		s, err := ps.send()
		if err != nil || s.Extra == nil {
			return
		}
		var extra map[string]any
		if packet.Check(s.Extra) != nil || json.Unmarshal(s.Extra, &extra) != nil || len(extra) == 0 {
			t.Fatalf("%q became %q", encoded, s.Extra)
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
