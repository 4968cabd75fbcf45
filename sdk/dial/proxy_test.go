package dial_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"mpush/sdk"
	"mpush/sdk/dial"
)

func TestProxyIsReadInBothForms(t *testing.T) {
	for _, test := range []struct{ text, url, log string }{
		{`null`, ``, ``},
		{`""`, ``, ``},
		{`{}`, ``, ``},
		{`{"host": null, "auth": null}`, ``, ``},
		{`"http://127.0.0.1:12333"`, `http://127.0.0.1:12333`, `http://127.0.0.1:12333`},
		{`"HTTP://proxy.example/"`, `http://proxy.example`, `http://proxy.example`},
		{`"https://u:p%40s%3As@proxy.example:443"`, `https://u:p%40s%3As@proxy.example:443`, `https://proxy.example:443`},
		{`"socks5://u@[::1]:1080"`, `socks5://u:@[::1]:1080`, `socks5://[::1]:1080`},
		{`"socks5h://:@127.0.0.1"`, `socks5h://127.0.0.1`, `socks5h://127.0.0.1`},
		{`{"host": "127.0.0.1", "port": 12333}`, `http://127.0.0.1:12333`, `http://127.0.0.1:12333`},
		{`{"host": "127.0.0.1", "port": 12333, "auth": {"username": "a b", "password": "c:d@e"}, "protocol": "http"}`,
			`http://a%20b:c%3Ad%40e@127.0.0.1:12333`, `http://127.0.0.1:12333`},
		{`{"host": "::1", "port": 1, "auth": {}, "protocol": "SOCKS5"}`, `socks5://[::1]:1`, `socks5://[::1]:1`},
		{`{"host": "[::1]", "port": 65535, "auth": {"username": "u", "password": null}, "protocol": ""}`, `http://u:@[::1]:65535`, `http://[::1]:65535`},
	} {
		var p dial.Proxy
		if err := json.Unmarshal([]byte(test.text), &p); err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		got := ""
		if u := p.URL(); u != nil {
			got = u.String()
		}
		if got != test.url || p.String() != test.log || (p == dial.Proxy{}) != (test.url == "") {
			t.Errorf("%s: url %q, log %q\nwant %q, %q", test.text, got, p, test.url, test.log)
		}
	}
}

func TestBothFormsOfAProxyAreEqual(t *testing.T) {
	var short, long dial.Proxy
	for text, into := range map[string]*dial.Proxy{
		`"http://u:p@127.0.0.1:1"`: &short,
		`{"auth": {"password": "p", "username": "u"}, "host": "127.0.0.1", "port": 1}`: &long,
	} {
		if err := into.UnmarshalJSON([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if short != long {
		t.Errorf("%v and %v", short.URL(), long.URL())
	}
}

func TestWhatIsNoProxyIsSaidWithoutItsCredentials(t *testing.T) {
	const secret = "s3cret"
	like := `such as "http://127.0.0.1:8080"`
	for _, test := range []struct{ text, want string }{
		{`5`, `expected a url or an object, got a number`},
		{`[]`, `expected a url or an object, got a list`},
		{`false`, `expected a url or an object, got true or false`},
		{`"127.0.0.1:8080"`, `not a url ` + like},
		{`"proxy.example"`, `expected a url with scheme and host, ` + like},
		{`"http:proxy"`, `expected a url with scheme and host, ` + like},
		{`"http://u:s3cret@:80"`, `expected a url with scheme and host, ` + like},
		{`"http://u:s3cret@a b"`, `not a url ` + like},
		{`"http://u:s3cret@127.0.0.1:x"`, `not a url ` + like},
		{`"http://127.0.0.1:0"`, `expected a port from 1 to 65535, not 0`},
		{`"http://127.0.0.1:65536"`, `expected a port from 1 to 65535, not 65536`},
		{`"http://u:s3cret@127.0.0.1/path"`, `a proxy's url ends after host and port, ` + like},
		{`"http://127.0.0.1?s3cret"`, `a proxy's url ends after host and port, ` + like},
		{`"http://127.0.0.1#s3cret"`, `a proxy's url ends after host and port, ` + like},
		{`"ftp://u:s3cret@127.0.0.1"`, `expected the protocol http, https, socks5 or socks5h, not "ftp"`},
		{`"http://:s3cret@127.0.0.1"`, `a password without a username`},
		{`"http://u%3A:s3cret@127.0.0.1"`, `the username of an http proxy can not hold a colon`},
		{`"socks5://u:` + strings.Repeat(secret, 50) + `@127.0.0.1"`, `username and password of a socks5 proxy are 255 bytes at most`},
		{`{"port": 80}`, `host: missing`},
		{`{"auth": {}}`, `host: missing`},
		{`{"host": "", "port": 80}`, `host: missing`},
		{`{"host": "h"}`, `port: missing`},
		{`{"host": 5, "port": 80}`, `host: expected a string, got a number`},
		{`{"host": "h:80", "port": 80}`, `host: expected a name or an address and nothing else`},
		{`{"host": "http://h", "port": 80}`, `host: expected a name or an address and nothing else`},
		{`{"host": "u:s3cret@h", "port": 80}`, `host: expected a name or an address and nothing else`},
		{`{"host": "h/", "port": 80}`, `host: expected a name or an address and nothing else`},
		{`{"host": "a b", "port": 80}`, `host: expected a name or an address and nothing else`},
		{`{"host": "h", "port": "80"}`, `port: expected a number, got a string`},
		{`{"host": "h", "port": 0}`, `port: expected a port from 1 to 65535, not 0`},
		{`{"host": "h", "port": 65536}`, `port: expected a port from 1 to 65535, not 65536`},
		{`{"host": "h", "port": 80.5}`, `port: expected a port from 1 to 65535, not 80.5`},
		{`{"host": "h", "port": 80, "Host": "h"}`, `Host: unknown key`},
		{`{"host": "h", "port": 80, "protocol": true}`, `protocol: expected a string, got true or false`},
		{`{"host": "h", "port": 80, "protocol": "socks4"}`, `expected the protocol http, https, socks5 or socks5h, not "socks4"`},
		{`{"host": "h", "port": 80, "auth": "u:s3cret"}`, `auth: expected an object, got a string`},
		{`{"host": "h", "port": 80, "auth": {"user": "s3cret"}}`, `auth.user: unknown key`},
		{`{"host": "h", "port": 80, "auth": {"username": {}}}`, `auth.username: expected a string, got an object`},
		{`{"host": "h", "port": 80, "auth": {"password": "s3cret"}}`, `a password without a username`},
		{`{"host": "h"`, `not JSON: unexpected EOF`},
		{`{} {}`, `more than one JSON value`},
	} {
		var p dial.Proxy
		err := p.UnmarshalJSON([]byte(test.text))
		if err == nil || err.Error() != test.want || strings.Contains(err.Error(), secret) || p.URL() != nil {
			t.Errorf("%s: %v, %v\nwant %s", test.text, p.URL(), err, test.want)
		}
	}
}

func TestProxyIsPartOfASection(t *testing.T) {
	var section struct {
		Proxy *dial.Proxy `json:"proxy"`
		Other dial.Proxy  `json:"other"`
	}
	config := sdk.NewConfig("c", []byte(`{"proxy": {"host": "h", "port": 80}, "other": "socks5://u:p@h:1"}`))
	if err := config.Decode(&section); err != nil {
		t.Fatal(err)
	}
	if section.Proxy.String() != "http://h:80" || section.Other.String() != "socks5://h:1" {
		t.Errorf("got %v, %v", section.Proxy, section.Other)
	}
	if shown := fmt.Sprintf("%v %+v %s", section.Other, section, section.Other); strings.Contains(shown, "u:p") {
		t.Errorf("credentials in %s", shown)
	}
	err := sdk.NewConfig("c", []byte(`{"proxy": {"port": "80"}}`)).Decode(&section)
	if err == nil || err.Error() != "proxy: port: expected a number, got a string" {
		t.Errorf("error %v", err)
	}
}
