package config

import (
	"errors"
	"strings"
	"testing"
)

func TestFaultsNamePlaceKeyAndWhatIsExpected(t *testing.T) {
	deep := strings.Repeat("[", 70)
	for name, test := range map[string]struct{ text, want string }{
		// the text itself
		"empty":               {"", "config.json:2:1: ends too early (parsing value)"},
		"not an object":       {"\n []", "config.json:2:2: expected an object, found an array"},
		"unclosed":            {"{\n\t\"http\": {", "config.json:3:1: ends too early (parsing value)"},
		"missing comma":       {"{\"token\": \"a\"\n \"http\": {}}", `config.json:2:2: invalid character '"' after object value (expecting ',' or '}')`},
		"bad literal":         {`{"token": "hunter\2"}`, "config.json:1:11: not a valid string, number, true, false or null"},
		"single quotes":       {`{'token': ''}`, `config.json:1:2: invalid character '\'' at start of value`},
		"column in runes":     {`{"手机": "é", x}`, "config.json:1:13: not a valid string, number, true, false or null"},
		"byte order mark":     {"\ufeff{x}", "config.json:1:2: not a valid string, number, true, false or null"},
		"not UTF-8":           {"{\n \"token\": \"a\xffb\"}", "config.json:2:13: not UTF-8 text"},
		"not UTF-8 comment":   {"{// \xff\n}", "config.json:1:5: not UTF-8 text"},
		"after the end":       {"{}\n{}", "config.json:2:1: invalid character '{' after top-level value"},
		"too deep":            {"{\"http\": {\n\"a\": " + deep, "config.json:2:68: nested deeper than 64 levels"},
		"unclosed comment":    {"{ /* ", "config.json:1:3: ends too early (parsing comment)"},
		"duplicate":           {"{\"token\": \"a\",\n \"token\": \"b\"}", "config.json:2:2: token: given twice, first in line 1"},
		"duplicate, escaped":  {`{"token": "a", "t\u006fken": "b"}`, "config.json:1:16: token: given twice, first in line 1"},
		"duplicate, deep":     {"{\"http\": {\"a\": [{}, {\"b\": 1,\n\"b\": 2}]}}", "config.json:2:1: http.a[1].b: given twice, first in line 1"},
		"duplicate, unserved": {"{\"console\": {\"a.b\": 1,\n\"a.b\": 2}}", `config.json:2:1: console["a.b"]: given twice, first in line 1`},

		// keys
		"unknown, near":        {"{\n  \"websoket\": {}\n}", `config.json:2:3: websoket: unknown key (did you mean "websocket"?)`},
		"unknown, swapped":     {`{"htpt": {}}`, `config.json:1:2: htpt: unknown key (did you mean "http"?)`},
		"unknown, case":        {`{"Token": "x"}`, `config.json:1:2: Token: unknown key (did you mean "token"?)`},
		"unknown, far":         {`{"x": 1}`, "config.json:1:2: x: unknown key (known are auth, console, fcm, history, http, limits, log, ops, plugins, token, tokens, trustedProxies, webhook, webpush, websocket)"},
		"unknown, a plugin":    {`{"telegram": {}}`, `config.json:1:2: telegram: unknown key (known are auth, console, fcm, history, http, limits, log, ops, plugins, token, tokens, trustedProxies, webhook, webpush, websocket); the channel of a third party belongs into "plugins"`},
		"unknown in a section": {"{\"limits\": {\n    \"queueLenght\": 5}}", `config.json:2:5: limits.queueLenght: unknown key (did you mean "queueLength"?)`},
		"unknown in auth":      {`{"auth": {"x y": 5}}`, `config.json:1:11: auth["x y"]: unknown key (known are ttl)`},

		// values
		"section":           {`{"limits": 5}`, "config.json:1:2: limits: expected an object, found a number"},
		"bundled section":   {`{"http": false}`, `config.json:1:2: http: expected an object, found a boolean (to switch the channel off: {"enabled": false})`},
		"token":             {`{"token": {"a": 1}}`, "config.json:1:2: token: expected a string, found an object"},
		"enabled":           {`{"http": {"enabled": 0}}`, "config.json:1:11: http.enabled: expected true or false, found a number"},
		"count, type":       {`{"limits": {"receivers": "5"}}`, "config.json:1:13: limits.receivers: expected a whole number from 0, found a string"},
		"count, negative":   {`{"limits": {"receivers": -5}}`, "config.json:1:13: limits.receivers: expected a whole number from 0"},
		"count, fraction":   {`{"limits": {"receivers": 5.5}}`, "config.json:1:13: limits.receivers: expected a whole number from 0"},
		"count, too large":  {`{"limits": {"receivers": 1e300}}`, "config.json:1:13: limits.receivers: expected a whole number from 0"},
		"duration, no unit": {`{"auth": {"ttl": "5"}}`, `config.json:1:11: auth.ttl: expected a whole number of milliseconds, or a time like "30m", "12h" or "7d"`},
		"duration, type":    {`{"auth": {"ttl": true}}`, `config.json:1:11: auth.ttl: expected a whole number of milliseconds, or a time like "30m", "12h" or "7d", found a boolean`},
		"duration, long":    {`{"auth": {"ttl": 9007199254740991}}`, `config.json:1:11: auth.ttl: expected a whole number of milliseconds, or a time like "30m", "12h" or "7d"`},
		"log level":         {`{"log": {"level": "loud"}}`, "config.json:1:10: log.level: expected one of debug, info, warn, error"},
		"flag, type":        {`{"ops": {"pprof": "yes"}}`, "config.json:1:10: ops.pprof: expected true or false, found a string"},
		"address, no port":  {`{"ops": {"listen": "localhost"}}`, `config.json:1:10: ops.listen: expected an address with a port like "127.0.0.1:9095", or "" for none`},
		"address, bad port": {`{"ops": {"listen": ":99999"}}`, `config.json:1:10: ops.listen: expected an address with a port like "127.0.0.1:9095", or "" for none`},
		"proxies, type":     {`{"trustedProxies": "10.0.0.1"}`, "config.json:1:2: trustedProxies: expected an array of strings, found a string"},
		"proxies, element":  {"{\"trustedProxies\": [\"10.0.0.1\",\n 5]}", "config.json:2:2: trustedProxies[1]: expected a string, found a number"},
		"proxies, name":     {"{\"trustedProxies\": [\"10.0.0.1\",\n \"proxy\"]}", "config.json:2:2: trustedProxies[1]: expected an address or a network like 10.0.0.0/8"},

		// across sections
		"same port": {"{\"http\": {\"port\": 80},\n \"websocket\": {\n  \"port\": 80}}",
			"config.json:3:3: websocket.port: http.port and websocket.port are both 80: each needs a port of its own, give one of them another number (the defaults are http.port 9093, websocket.port 9094)"},
		"same port by default": {`{"http": {"port": 9094}}`,
			"config.json:1:11: http.port: http.port and websocket.port are both 9094: each needs a port of its own, give one of them another number (the defaults are http.port 9093, websocket.port 9094)"},

		// several at once, in the order of the file
		"several": {"{\n\"trustedProxies\": 5,\n\"htp\": 1, \"auth\": {\"ttl\": \"\"},\n\"token\": []}",
			"config.json:2:1: trustedProxies: expected an array of strings, found a number\n" +
				"config.json:3:1: htp: unknown key (did you mean \"http\"?)\n" +
				"config.json:3:20: auth.ttl: expected a whole number of milliseconds, or a time like \"30m\", \"12h\" or \"7d\"\n" +
				"config.json:4:1: token: expected a string, found an array"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := loadText(t, test.text)
			if err == nil {
				t.Fatalf("loaded %+v", c)
			}
			if err.Error() != test.want {
				t.Errorf("got  %v\nwant %v", err, test.want)
			}
		})
	}
}

func TestFaultCarriesItsParts(t *testing.T) {
	_, err := loadText(t, "{\n  \"tokn\": 1}")
	var fault Fault
	if !errors.As(err, &fault) {
		t.Fatalf("%T", err)
	}
	want := Fault{"config.json", 2, 3, "tokn", `unknown key (did you mean "token"?)`}
	if fault != want {
		t.Errorf("got %+v", fault)
	}
}

func TestPortsThatDoNotClash(t *testing.T) {
	for _, text := range []string{
		`{"http": {"port": 0}, "websocket": {"port": 0}}`,
		`{"http": {"port": 9094}, "websocket": {"port": 9093}}`,
		`{"http": {"port": 80, "host": "10.0.0.1"}, "websocket": {"port": 80, "host": "10.0.0.2"}}`,
		`{"http": {"port": 80}, "websocket": {"port": 80, "enabled": false}}`,
		`{"http": {"port": "80"}, "websocket": {"port": 80}}`, // the channel's fault to find
	} {
		if _, err := loadText(t, text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := loadText(t, `{"http": {"port": 80, "host": "0.0.0.0"}, "websocket": {"port": 80, "host": "10.0.0.2"}}`); err == nil {
		t.Error("an address besides all addresses was accepted")
	}
}

func TestFaultsNeverShowValues(t *testing.T) {
	const canary = "hunter2"
	for _, text := range []string{
		`{"token": ["hunter2"]}`, `{"token": "hunter2\q"}`, `{"token": "hunter2" x}`, `{"auth": {"ttl": "hunter2"}}`,
		`{"log": {"level": "hunter2"}}`, `{"trustedProxies": ["hunter2"]}`, `{"http": "hunter2"}`,
		`{"plugins": {"a": {"path": "p", "sha256": "hunter2", "rights": ["hunter2"], "env": ["A=hunter2"]}}}`,
		`{"token": hunter2}`,
	} {
		if _, err := loadText(t, text); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, variable := range []string{"MPUSH_AUTH_TTL=hunter2", "MPUSH_LIMITS_TTL=hunter2", "MPUSH_LIMITS_RECEIVERS=hunter2", "MPUSH_HTTP_CORS=hunter2", "MPUSH_HTTP=hunter2", "MPUSH_HTTP={hunter2}"} {
		if _, err := loadText(t, `{}`, variable); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", variable, err)
		}
	}
}

func TestNearestKey(t *testing.T) {
	candidates := []string{"port", "token", "tokens", "verifyToken"}
	for given, want := range map[string]string{
		"prot": "port", "Port": "port", "pot": "port", "toekn": "token", "tokns": "tokens",
		"verifytoken": "verifyToken", "verify_token": "verifyToken", "x": "", "something": "",
		strings.Repeat("port", 100): "",
	} {
		if got, ok := nearest(given, candidates); got != want || ok != (want != "") {
			t.Errorf("%s: %q", given, got)
		}
	}
}
