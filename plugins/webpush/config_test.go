package webpush

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mpush/sdk/plugintest"
)

func configure(t *testing.T, section string) (*plugin, []string) {
	t.Helper()
	p := New().(*plugin)
	var found []string
	for _, d := range plugintest.Configure(t, p, plugintest.Options{Config: section}) {
		found = append(found, d.GetPath()+": "+d.GetMessage())
	}
	return p, found
}

func TestSectionsOfEveryVersionLoad(t *testing.T) {
	for _, row := range []struct {
		section string
		want    []string // beginnings of what is remarked
	}{
		{``, nil},
		{`{}`, nil},
		{`{"serverKey":"","apiKey":"","proxy":{},"retryTimeout":10000}`, nil},
		{`{"serverKey":"AAAA","proxy":"http://127.0.0.1:12333","retryTimeout":10000}`, []string{"serverKey: no longer needed"}},
		{`{"apiKey":"AAAA","proxy":{"host":"127.0.0.1","port":1080,"protocol":"socks5"}}`, []string{"apiKey: no longer needed"}},
		{`{"retryTimeout":4999}`, []string{"retryTimeout: 4999 ms is too short, 5000 ms is used"}},
		{`{"retryTimeout":200,"allowEndpoints":["http://127.0.0.1:1"]}`, nil},
		{`{"retryTimeout":99,"allowEndpoints":["http://127.0.0.1:1"]}`, []string{"retryTimeout: 99 ms is too short, 100 ms is used"}},
		{`{"allowEndpoints":["https://a.org","HTTPS://A.org:443","http://[::1]:8080"],"ttl":0}`, nil},
		{`{"ttl":2419200}`, nil},

		{`{"ttl":-1}`, []string{"ttl: expected at least 0 s"}},
		{`{"ttl":2419201}`, []string{"ttl: expected"}},
		{`{"allowEndpoints":["https://a.org","https://a.org/"]}`, []string{"allowEndpoints[1]: expected an origin and nothing after it"}},
		{`{"allowEndpoints":["https://a.org/push"]}`, []string{"allowEndpoints[0]: expected an origin"}},
		{`{"allowEndpoints":["https://a.org?x"]}`, []string{"allowEndpoints[0]: expected an origin"}},
		{`{"allowEndpoints":["https://a.org#x"]}`, []string{"allowEndpoints[0]: expected an origin"}},
		{`{"allowEndpoints":["ftp://a.org"]}`, []string{"allowEndpoints[0]: expected an origin"}},
		{`{"allowEndpoints":["a.org"]}`, []string{"allowEndpoints[0]: expected an origin"}},
		{`{"allowEndpoints":["https://u@a.org"]}`, []string{"allowEndpoints[0]: expected an origin"}},
		{`{"allowEndpoints":["https://a.org:0"]}`, []string{"allowEndpoints[0]: expected an origin"}},
		{`{"allowEndpoints":["https://a.org:"]}`, []string{"allowEndpoints[0]: expected an origin"}},
		{`{"allowEndpoints":[""]}`, []string{"allowEndpoints[0]: expected an origin"}},
		{`{"allowEndpoints":"https://a.org"}`, []string{"allowEndpoints: expected a list"}},
		{`{"subject":"nobody"}`, []string{"subject: expected an e-mail address"}},
		{`{"ttl":-1,"topic":"x"}`, []string{"topic: ", "ttl: "}},
		{`{"proxy":"ftp://x"}`, []string{"proxy: expected the protocol"}},
		{`{"topic":"x"}`, []string{"topic: unknown key"}},
	} {
		_, found := configure(t, row.section)
		if len(found) != len(row.want) {
			t.Errorf("%s: %q", row.section, found)
			continue
		}
		for i, want := range row.want {
			if !strings.HasPrefix(found[i], want) {
				t.Errorf("%s: %q, want %q", row.section, found[i], want)
			}
		}
	}
}

func TestTooShortTimesAreRaised(t *testing.T) {
	for section, want := range map[string]time.Duration{
		`{}`:                    10 * time.Second,
		`{"retryTimeout":100}`:  5 * time.Second,
		`{"retryTimeout":6000}`: 6 * time.Second,
		`{"retryTimeout":100,"allowEndpoints":["http://127.0.0.1:1"]}`: 100 * time.Millisecond,
		`{"retryTimeout":1,"allowEndpoints":["http://127.0.0.1:1"]}`:   100 * time.Millisecond,
	} {
		if p, _ := configure(t, section); p.settings.RetryTimeout != want {
			t.Errorf("%s: %v", section, p.settings.RetryTimeout)
		}
	}
}

// The library puts mailto: before what is no https: url.
func TestSubjects(t *testing.T) {
	for _, row := range []struct{ given, want, remark string }{
		{"", defaultSubject, ""},
		{"mailto:ops@a.org", "ops@a.org", ""},
		{"MAILTO:ops@a.org", "ops@a.org", ""},
		{"ops@a.org", "ops@a.org", ""},
		{"https://a.org/contact", "https://a.org/contact", ""},
		{"HTTPS://a.org", "https://a.org", ""},
		{"mailto:root@localhost", "root@localhost", "no host on the internet"},
		{"me@nas.local", "me@nas.local", "no host on the internet"},
		{"https://localhost:8080/", "https://localhost:8080/", "no host on the internet"},
		{"https://push.invalid", "https://push.invalid", "no host on the internet"},
		{"http://a.org", "", "expected an e-mail address"},
		{"https://", "", "expected a url"},
		{"https://u:p@a.org", "", "expected a url"},
		{"Ops <ops@a.org>", "", "expected an e-mail address"},
		{"mailto:mailto:ops@a.org", "", "expected an e-mail address"},
		{"tel:123", "", "expected an e-mail address"},
	} {
		p, found := configure(t, fmt.Sprintf(`{"subject":%q}`, row.given))
		if remarks := strings.Join(found, "; "); (remarks == "") != (row.remark == "") || !strings.Contains(remarks, row.remark) {
			t.Errorf("%q: %s", row.given, remarks)
		}
		if row.want != "" && p.settings.Subject != row.want {
			t.Errorf("%q became %q", row.given, p.settings.Subject)
		}
	}
}
