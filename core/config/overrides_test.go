package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEnvironmentOverridesTheFile(t *testing.T) {
	const file = `{
		"token": "file", "limits": {"ttl": "7d", "queueLength": 5},
		"http": {"port": 1, "big": 9007199254740993, "host": "a"},
	}`
	for name, test := range map[string]struct {
		environ []string
		http    string // the section that comes out
	}{
		"count":                   {[]string{"MPUSH_HTTP_PORT=8080"}, `{"port":8080,"big":9007199254740993,"host":"a"}`},
		"any case":                {[]string{"mpush_Http_pORT=8080"}, `{"port":8080,"big":9007199254740993,"host":"a"}`},
		"text that is a number":   {[]string{"MPUSH_HTTP_HOST=10"}, `{"port":1,"big":9007199254740993,"host":"10"}`},
		"flag":                    {[]string{"MPUSH_HTTP_CORS=False"}, `{"port":1,"big":9007199254740993,"host":"a","cors":false}`},
		"flag as a digit":         {[]string{"MPUSH_HTTP_VERIFYTOKEN=1"}, `{"port":1,"big":9007199254740993,"host":"a","verifyToken":true}`},
		"key in words":            {[]string{"MPUSH_HTTP_VERIFY_TOKEN=1"}, `{"port":1,"big":9007199254740993,"host":"a","verifyToken":true}`},
		"key of the file alone":   {[]string{"MPUSH_HTTP_BIG=9007199254740995"}, `{"port":1,"big":9007199254740995,"host":"a"}`},
		"unknown, a number":       {[]string{"MPUSH_HTTP_MAXBODY=5"}, `{"port":1,"big":9007199254740993,"host":"a","maxBody":5}`},
		"unknown, its own case":   {[]string{"MPUSH_HTTP_maxBody=5"}, `{"port":1,"big":9007199254740993,"host":"a","maxBody":5}`},
		"unknown, a text":         {[]string{"MPUSH_HTTP_X=1.2.3"}, `{"port":1,"big":9007199254740993,"host":"a","x":"1.2.3"}`},
		"unknown, JSON":           {[]string{`MPUSH_HTTP_X={"b": [1,], /**/ "a": 2}`}, `{"port":1,"big":9007199254740993,"host":"a","x":{"b":[1],"a":2}}`},
		"unknown, nested":         {[]string{"MPUSH_HTTP_NEW_CERT=c.pem"}, `{"port":1,"big":9007199254740993,"host":"a","new":{"cert":"c.pem"}}`},
		"whole section":           {[]string{`MPUSH_HTTP={"port": 2}`, "MPUSH_HTTP_HOST=b"}, `{"port":2,"host":"b"}`},
		"references stay":         {[]string{"MPUSH_HTTP_HOST=${env:HOME}"}, `{"port":1,"big":9007199254740993,"host":"${env:HOME}"}`},
		"empty is unset":          {[]string{"MPUSH_HTTP_PORT=", "MPUSH_TOKEN="}, `{"port":1,"big":9007199254740993,"host":"a"}`},
		"the flags' variables":    {[]string{"MPUSH_CONFIG=x", "MPUSH_DATA=y"}, `{"port":1,"big":9007199254740993,"host":"a"}`},
		"not ours":                {[]string{"HTTP_PORT=5", "XMPUSH_HTTP_PORT=5"}, `{"port":1,"big":9007199254740993,"host":"a"}`},
		"first of the same twice": {[]string{"MPUSH_HTTP_PORT=7", "MPUSH_HTTP_PORT=8"}, `{"port":7,"big":9007199254740993,"host":"a"}`},
		"equals sign in a value":  {[]string{"MPUSH_HTTP_HOST=a=b"}, `{"port":1,"big":9007199254740993,"host":"a=b"}`},
		"escapes in a value":      {[]string{`MPUSH_HTTP_HOST="<\`}, `{"port":1,"big":9007199254740993,"host":"\"<\\"}`},
	} {
		t.Run(name, func(t *testing.T) {
			c := mustLoad(t, file, test.environ...)
			if got := string(channel(t, c, "http").Section); got != test.http {
				t.Errorf("got  %s\nwant %s", got, test.http)
			}
			if c.Token.Reveal() != "file" || len(c.Warnings) != 0 {
				t.Errorf("token %q, warnings %q", c.Token.Reveal(), c.Warnings)
			}
		})
	}
}

func TestEnvironmentSetsTheRelaysOwnKeys(t *testing.T) {
	c := mustLoad(t, `{"token": "${env:ABSENT}", "limits": {"queueLength": 5}}`,
		"MPUSH_TOKEN=12345", "MPUSH_AUTH_TTL=90d", "MPUSH_LIMITS_TTL=1500", "MPUSH_LIMITS_QUEUE_BYTES=7",
		"MPUSH_TRUSTED_PROXIES=10.0.0.0/8, ::1", "MPUSH_LOG_LEVEL=warn", "MPUSH_OPS_PPROF=true")
	if c.Token.Reveal() != "12345" || c.AuthTTL != 90*24*time.Hour || c.Limits.TTL != 1500*time.Millisecond ||
		c.Limits.QueueBytes != 7 || c.Limits.QueueLength != 5 || c.Log.Level.String() != "WARN" {
		t.Errorf("%+v, token %q", c, c.Token.Reveal())
	}
	if got := fmt.Sprint(c.TrustedProxies, c.Unserved); got != "[10.0.0.0/8 ::1/128] []" {
		t.Errorf("got %s", got)
	}
	c = mustLoad(t, `{}`, `MPUSH_TRUSTEDPROXIES=["10.0.0.1"]`)
	if got := fmt.Sprint(c.TrustedProxies); got != "[10.0.0.1/32]" {
		t.Errorf("got %s", got)
	}
}

func TestCommandLineIsOverTheEnvironment(t *testing.T) {
	c, err := build(newSource("config.json", []byte(`{"token": "file", "log": {"level": "error"}}`)), t.TempDir(), Options{
		Environ:   []string{"MPUSH_TOKEN=environment", "MPUSH_LOG_LEVEL=warn", "MPUSH_HTTP_PORT=1", "MPUSH_LOG_FORMAT=json"},
		Overrides: map[string]string{"token": "command", "log.level": "debug", "http.port": "2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Token.Reveal() != "command" || c.Log.Level.String() != "DEBUG" || c.Log.Format != "json" {
		t.Errorf("%+v, token %q", c, c.Token.Reveal())
	}
	if got := string(channel(t, c, "http").Section); got != `{"port":2}` {
		t.Errorf("section %s", got)
	}
	if got := c.Position("http", "port"); got != "command line http.port" {
		t.Errorf("position %s", got)
	}
}

func TestEnvironmentReachesPluginsAndLists(t *testing.T) {
	c := mustLoad(t, `{
		"http": {"list": [{"url": "a"}, {"url": "b"}]},
		"plugins": {"my-bot": {"path": "bot", "unpinned": true, "config": {"botToken": "x"}}},
	}`,
		"MPUSH_HTTP_LIST_1_URL=c", "MPUSH_HTTP_LIST_2_URL=d",
		"MPUSH_PLUGINS_MY_BOT_CONFIG_BOTTOKEN=123:abc", "MPUSH_PLUGINS_MY_BOT_ARGS=-v,-x", "MPUSH_PLUGINS_MY_BOT_MTLS=0",
		"MPUSH_PLUGINS_NEW_PATH=/bin/new", "MPUSH_PLUGINS_NEW_UNPINNED=true")
	if got := string(channel(t, c, "http").Section); got != `{"list":[{"url":"a"},{"url":"c"},{"url":"d"}]}` {
		t.Errorf("section %s", got)
	}
	bot := channel(t, c, "my-bot")
	if string(bot.Section) != `{"botToken":"123:abc"}` || !slices.Equal(bot.Args, []string{"-v", "-x"}) || bot.MTLS {
		t.Errorf("%+v %s", bot, bot.Section)
	}
	if added := channel(t, c, "new"); added.Path != "/bin/new" || !added.Unpinned {
		t.Errorf("%+v", added)
	}
}

func TestFaultsOfTheEnvironmentNameTheVariable(t *testing.T) {
	for variable, want := range map[string]string{
		"MPUSH_HTTP_PORT=abc":              "environment variable MPUSH_HTTP_PORT: http.port: expected a whole number from 0",
		"MPUSH_HTTP_CORS=maybe":            "environment variable MPUSH_HTTP_CORS: http.cors: expected true or false",
		"MPUSH_HTTP=5":                     `environment variable MPUSH_HTTP: http: expected an object, found a number (to switch the channel off: {"enabled": false})`,
		"MPUSH_HTTP={":                     "environment variable MPUSH_HTTP: http: expected an object: ends too early (parsing value)",
		`MPUSH_HTTP={"a":{"b":1,"b":2}}`:   "environment variable MPUSH_HTTP: http: expected an object: the key a.b is given twice",
		"MPUSH_HTTP_PORT_X=5":              "environment variable MPUSH_HTTP_PORT_X: http.port: is a number, which has no key x",
		"MPUSH_HTTP_LIST_9=5":              "environment variable MPUSH_HTTP_LIST_9: http.list: is an array: expected an index from 0 to 1 after it",
		"MPUSH_LIMITS=5":                   "environment variable MPUSH_LIMITS: limits: is a section: name one of its keys (ttl, queueLength, queueBytes, receivers, groupMembers, publishRate, publishBurst, authFailures, forgetAfter, diskReserve)",
		"MPUSH_LIMITS_QUEUELENGHT=5":       `environment variable MPUSH_LIMITS_QUEUELENGHT: limits.queuelenght: unknown key (did you mean "queueLength"?)`,
		"MPUSH_LIMITS_TTL=soon":            `environment variable MPUSH_LIMITS_TTL: limits.ttl: expected a whole number of milliseconds, or a time like "30m", "12h" or "7d"`,
		"MPUSH_TOKEN_FILE=/run/secret":     "environment variable MPUSH_TOKEN_FILE: token: has no key file",
		"MPUSH_TOKEN=\xff":                 "environment variable MPUSH_TOKEN: not UTF-8 text",
		"MPUSH_=5":                         "environment variable MPUSH_: names no key",
		"MPUSH_TRUSTEDPROXIES=1.2.3.4,bad": "environment variable MPUSH_TRUSTEDPROXIES: trustedProxies[1]: expected an address or a network like 10.0.0.0/8",
		"MPUSH_TRUSTEDPROXIES=[5]":         "environment variable MPUSH_TRUSTEDPROXIES: trustedProxies[0]: expected a string, found a number",
		"MPUSH_PLUGINS_A_PAHT=x":           `environment variable MPUSH_PLUGINS_A_PAHT: plugins.a.paht: unknown key (did you mean "path"?)`,
		"MPUSH_WEBSOCKET_PORT=80": "environment variable MPUSH_WEBSOCKET_PORT: websocket.port: http.port and websocket.port are both 80: " +
			"each needs a port of its own, give one of them another number (the defaults are http.port 9093, websocket.port 9094)",
	} {
		c, err := loadText(t, `{"http": {"port": 80, "list": [1]}, "plugins": {"a": {"path": "p", "unpinned": true}}}`, variable)
		if err == nil {
			t.Errorf("%s: loaded %+v", variable, c)
		} else if err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", variable, err, want)
		}
	}
	_, err := loadText(t, `{}`, "MPUSH_HTTP_PORT=1", "mpush_http_port=2")
	if want := "environment variable mpush_http_port: is given twice, also as MPUSH_HTTP_PORT"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = build(newSource("config.json", []byte(`{}`)), t.TempDir(), Options{Overrides: map[string]string{"htp.port": "1"}})
	if want := `command line htp.port: unknown key (did you mean "http"?)`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// Container platforms set MPUSH_SERVICE_HOST and the like by themselves, and an
// operator may call the variables for ${env:…} and for plugins as they please.
func TestForeignVariablesAreOnlyWarnedOf(t *testing.T) {
	c := mustLoad(t, `{"token": "${env:MPUSH_SECRET}", "plugins": {"a": {"path": "p", "unpinned": true, "env": ["MPUSH_A_KEY"]}}}`,
		"MPUSH_SERVICE_HOST=10.0.0.1", "MPUSH_HTPP_PORT=1", "MPUSH_SECRET=s3cret", "MPUSH_A_KEY=k")
	want := []string{
		"environment variable MPUSH_HTPP_PORT: names no key and was ignored (did you mean MPUSH_HTTP?)",
		"environment variable MPUSH_SERVICE_HOST: names no key and was ignored",
	}
	if !slices.Equal(c.Warnings, want) {
		t.Errorf("warnings %s", strings.Join(c.Warnings, "\n"))
	}
}
