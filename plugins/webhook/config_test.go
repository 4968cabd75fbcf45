package webhook

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

// remarks are the diagnostics in lines.
func remarks(t *testing.T, p sdk.Plugin, config string, o plugintest.Options) string {
	t.Helper()
	o.Config = config
	var lines []string
	for _, d := range plugintest.Configure(t, p, o) {
		word := map[pluginpb.Severity]string{pluginpb.Severity_SEVERITY_WARNING: "warning: "}[d.GetSeverity()]
		lines = append(lines, word+d.GetPath()+": "+d.GetMessage())
	}
	return strings.Join(lines, "\n")
}

func TestTheReadmesSectionLoads(t *testing.T) {
	p := New().(*plugin)
	got := remarks(t, p, `{
		"retryTimeout": 3000,
		"clients": [{
			"name": "wh1", "group": "group2", "url": "http://127.0.0.1:8089/", "method": "GET",
			"proxy": {"host": "127.0.0.1", "port": 12333, "auth": {"username": "string", "password": "string"}, "protocol": "http"}
		}],
		"proxy": {"host": "127.0.0.1", "port": 12333, "auth": {"username": "string", "password": "string"}, "protocol": "http"}
	}`, plugintest.Options{Token: "test"})
	if got != "" {
		t.Fatalf("remarks:\n%s", got)
	}
	c := p.clients["wh1"]
	if c == nil || c.group != "group2" || c.method != "GET" || c.url.String() != "http://127.0.0.1:8089/" || c.token != "test" || len(p.transports) != 1 {
		t.Errorf("client %+v of %+v", c, p)
	}
	want := sdk.Policy{Exclusive: true, Acks: true, Prefetch: 1, Retry: 3 * time.Second, RetryMax: 5 * time.Minute}
	if p.policy != want || p.timeout != 0 {
		t.Errorf("policy %+v, timeout %v", p.policy, p.timeout)
	}
}

func TestDefaults(t *testing.T) {
	for _, config := range []string{``, `{}`, `{"clients":null,"proxy":null,"timeout":0}`} {
		p := New().(*plugin)
		if got := remarks(t, p, config, plugintest.Options{}); got != "" {
			t.Errorf("%s: %s", config, got)
		}
		if p.policy.Retry != 3*time.Second || len(p.order) != 0 {
			t.Errorf("%s: %+v", config, p)
		}
	}
	p := New().(*plugin)
	if got := remarks(t, p, "{"+clientsOf(clientOf("a", "https://h.example"), clientOf("b", "http://h", `"method":""`, `"group":null`))+"}", plugintest.Options{}); got != "" {
		t.Fatal(got)
	}
	for _, c := range p.order {
		if c.method != "POST" || c.group != "" || c.secrets != nil {
			t.Errorf("client %+v", c)
		}
	}
}

func TestShortTimesAreRaised(t *testing.T) {
	p := New().(*plugin)
	got := remarks(t, p, `{"retryTimeout":99,"timeout":1}`, plugintest.Options{})
	if want := "warning: retryTimeout: 99 ms is too short, 100 ms is used\nwarning: timeout: 1 ms is too short, 100 ms is used"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if p.policy.Retry != 100*time.Millisecond || p.timeout != 100*time.Millisecond {
		t.Errorf("used %v and %v", p.policy.Retry, p.timeout)
	}
	if got := remarks(t, p, `{"retryTimeout":600000,"timeout":99}`, plugintest.Options{}); got != "warning: timeout: 99 ms is too short, 100 ms is used" {
		t.Error(got)
	}
	if p.policy.RetryMax != 10*time.Minute {
		t.Errorf("pauses of 10 min double up to %v", p.policy.RetryMax)
	}
}

// The core takes a delivery without an outcome back after ten minutes, or twice
// the longest pause: an endpoint that takes longer would be asked for ever.
func TestAttemptsEndBeforeTheCoreTakesThemBack(t *testing.T) {
	for _, test := range []struct {
		config, want string
		used         time.Duration
	}{
		{`{"timeout":590000}`, "", 590 * time.Second},
		{`{"timeout":590001}`, "warning: timeout: 590001 ms is too long, 590000 ms is used", 590 * time.Second},
		{`{"timeout":720000}`, "warning: timeout: 720000 ms is too long, 590000 ms is used", 590 * time.Second},
		{`{"timeout":1190000,"retryTimeout":600000}`, "", 1190 * time.Second},
		{`{"timeout":1190001,"retryTimeout":600000}`, "warning: timeout: 1190001 ms is too long, 1190000 ms is used", 1190 * time.Second},
		{`{"timeout":9223372036854,"retryTimeout":9223372036854}`, "", 9223372036854 * time.Millisecond},
	} {
		p := New().(*plugin)
		if got := remarks(t, p, test.config, plugintest.Options{}); got != test.want || p.timeout != test.used {
			t.Errorf("%s: %q, and %v is used", test.config, got, p.timeout)
		}
	}
}

func TestMistakesAreNamedWithTheirKeys(t *testing.T) {
	key := func(bytes int) string { return fmt.Sprintf(`"whsec_%s"`, strings.Repeat("AAAA", bytes/3)) }
	url := `"url":"http://h"`
	secret := func(s string) string { return `"secret":` + s }
	for _, test := range []struct{ config, want string }{
		{`"client":[]`, "client: unknown key"},
		{`"retryTimeout":"3s"`, "retryTimeout: expected a number of milliseconds, got a string"},
		{`"timeout":true`, "timeout: expected a number of milliseconds, got true or false"},
		{`"proxy":"` + private + `"`, `proxy: expected a url with scheme and host, such as "http://127.0.0.1:8080"`},
		{`"proxy":{"host":"h"}`, "proxy: port: missing"},
		{`"clients":{}`, "clients: expected a list, got an object"},
		{clientsOf(`null`), "clients[0]: expected a value, got null"},
		{clientsOf(`{}`), "clients[0].name: missing\nclients[0].url: missing"},
		{clientsOf(`{"name":"a","url":"http://h","uri":1}`), "clients[0].uri: unknown key"},
		{clientsOf(`{` + url + `}`), "clients[0].name: missing"},
		{clientsOf(`{"name":"",` + url + `}`), "clients[0].name: expected a name, not nothing"},
		{clientsOf(`{"name":"` + strings.Repeat("x", 257) + `",` + url + `}`), "clients[0].name: longer than 256 bytes"},
		{clientsOf(`{"name":"a\u0000",` + url + `}`), "clients[0].name: control characters are not allowed"},
		{clientsOf(`{"name":"a","group":"\u007f",` + url + `}`), "clients[0].group: control characters are not allowed"},
		{clientsOf(`{"name":"a","group":5,` + url + `}`), "clients[0].group: expected a string, got a number"},
		{clientsOf(clientOf("a", "http://h"), clientOf("b", "http://h"), clientOf("a", "http://h")),
			`clients[2].name: "a" is the name of clients[0], too: each client needs its own`},
		{clientsOf(clientOf("a", "")), `clients[0].url: missing: expected a url such as "https://host.example/path"`},
		{clientsOf(clientOf("a", "host/"+private)), `clients[0].url: expected a url that begins with http:// or https://, such as "https://host.example/path"`},
		{clientsOf(clientOf("a", "ftp://h/"+private)), `clients[0].url: expected a url that begins with http:// or https://, such as "https://host.example/path"`},
		{clientsOf(clientOf("a", "http:///"+private)), `clients[0].url: expected a url with a host, such as "https://host.example/path"`},
		{clientsOf(clientOf("a", "http:h")), `clients[0].url: expected a url with a host, such as "https://host.example/path"`},
		{clientsOf(clientOf("a", "http://h/%zz"+private)), `clients[0].url: not a url such as "https://host.example/path"`},
		{clientsOf(clientOf("a", "http://u:"+private+"@h")), "clients[0].url: username and password in a url are not sent, since the header authorization is the token: take them out"},
		{clientsOf(clientOf("a", "http://h:0")), "clients[0].url: expected a port from 1 to 65535, not 0"},
		{clientsOf(clientOf("a", "http://h:65536")), "clients[0].url: expected a port from 1 to 65535, not 65536"},
		{clientsOf(clientOf("a", "http://h", `"method":"PUT"`)), `clients[0].method: expected GET or POST, not "PUT"`},
		{clientsOf(clientOf("a", "http://h", `"proxy":{"port":1}`)), "clients[0].proxy: host: missing"},
		{clientsOf(clientOf("a", "http://h", `"token":"x\ny"`)), "clients[0].token: control characters are not allowed"},
		{clientsOf(clientOf("a", "http://h", `"token":5`)), "clients[0].token: expected a string, got a number"},
		{clientsOf(clientOf("a", "http://h", `"method":"get"`, secret(key(24)))),
			"clients[0].secret: a signature covers the body, and a GET request has none: use the method POST, or no secret"},
		{clientsOf(clientOf("a", "http://h", secret(`"`+private+`"`))), "clients[0].secret: expected a text that begins with whsec_"},
		{clientsOf(clientOf("a", "http://h", secret(`""`))), "clients[0].secret: expected a text that begins with whsec_"},
		{clientsOf(clientOf("a", "http://h", secret(`5`))), "clients[0].secret: expected a text that begins with whsec_, or a list of such"},
		{clientsOf(clientOf("a", "http://h", secret(`[null]`))), "clients[0].secret: expected a text that begins with whsec_, or a list of such"},
		{clientsOf(clientOf("a", "http://h", secret(`{}`))), "clients[0].secret: expected a text that begins with whsec_, or a list of such"},
		{clientsOf(clientOf("a", "http://h", secret(`"whsec_`+private+`!"`))), "clients[0].secret: expected base64 after whsec_"},
		{clientsOf(clientOf("a", "http://h", secret(key(21)))), "clients[0].secret: expected the base64 of 24 to 64 bytes after whsec_, not of 21"},
		{clientsOf(clientOf("a", "http://h", secret(key(66)))), "clients[0].secret: expected the base64 of 24 to 64 bytes after whsec_, not of 66"},
		{clientsOf(clientOf("a", "http://h", secret(`[`+key(24)+`,`+key(63)+`,`+key(24)+`]`))), "clients[0].secret: expected at most 2 secrets, not 3"},
		{clientsOf(clientOf("a", "http://h"), `{"name":"","url":"x","method":"x"}`),
			"clients[1].name: expected a name, not nothing\n" +
				`clients[1].url: expected a url that begins with http:// or https://, such as "https://host.example/path"` + "\n" +
				`clients[1].method: expected GET or POST, not "x"`},
	} {
		got := remarks(t, New(), "{"+test.config+"}", plugintest.Options{})
		if got != test.want || strings.Contains(got, private) {
			t.Errorf("%s:\ngot  %s\nwant %s", test.config, got, test.want)
		}
	}
}

func TestARelayTokenThatNoHeaderCanHold(t *testing.T) {
	config := "{" + clientsOf(clientOf("a", "http://h"), clientOf("b", "http://h", `"token":"t"`)) + "}"
	got := remarks(t, New(), config, plugintest.Options{Token: "a\nb"})
	if want := "clients[0].token: the relay's token holds control characters, which no header can: give this client a token of its own"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestManifest(t *testing.T) {
	m := New().Describe()
	if m.Name != "webhook" || fmt.Sprint(m.Rights) != fmt.Sprint([]sdk.Right{sdk.MasterToken, sdk.TakeNames}) {
		t.Errorf("manifest %+v", m)
	}
}
