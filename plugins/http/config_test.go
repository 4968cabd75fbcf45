package http

import (
	"context"
	"fmt"
	"testing"
	"time"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

func TestDefaults(t *testing.T) {
	p := New().(*plugin)
	if err := p.Configure(context.Background(), sdk.NewConfig("http", nil)); err != nil {
		t.Fatal(err)
	}
	want := settings{
		Port: 9093, WaitTimeout: 5 * time.Second, CORS: true, MaxBody: 1 << 20, MaxConnections: 4096,
		HeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 75 * time.Second,
		MaxConnectionsPerAddress: 256,
	}
	if p.settings != want {
		t.Errorf("got %+v", p.settings)
	}
}

func TestConfigure(t *testing.T) {
	const weak = "reachable from elsewhere while the token is empty or well known: set a token of your own"
	for _, test := range []struct {
		section string
		weak    bool
		want    []string // "severity path: message"
		host    string
	}{
		{`{"host":"192.0.2.1","port":8080,"verifyToken":true,"waitTimeout":500,"cors":false}`, false, nil, "192.0.2.1"},
		{``, true, []string{"WARNING host: listening on 127.0.0.1 only, since the token is empty or well known: set a token of your own to be reachable from elsewhere, or name a host"}, "127.0.0.1"},
		{`{"host":"0.0.0.0"}`, true, []string{`WARNING host: "0.0.0.0" is ` + weak}, "0.0.0.0"},
		{`{"host":"::1"}`, true, nil, "::1"},
		{`{"host":"localhost"}`, true, nil, "localhost"},
		{`{"waitTimeout":499}`, false, []string{"WARNING waitTimeout: 499 ms is too short, 500 ms is used"}, ""},
		{`{"port":65536,"maxBody":0,"maxConnections":0,"maxConnectionsPerAddress":-1,"headerTimeout":99,"readTimeout":-1,"idleTimeout":0}`, false, []string{
			"ERROR headerTimeout: expected at least 100 ms", "ERROR idleTimeout: expected at least 100 ms", "ERROR maxBody: expected at least 1024 bytes",
			"ERROR maxConnections: expected at least 1", "ERROR maxConnectionsPerAddress: expected at least 0", "ERROR port: expected at most 65535",
			"ERROR readTimeout: -1 is out of range, 0 to 9223372036854",
		}, ""},
		{`{"prot":1}`, false, []string{"ERROR prot: unknown key"}, ""},
	} {
		p := New().(*plugin)
		var got []string
		for _, d := range plugintest.Configure(t, p, plugintest.Options{Config: test.section, WeakToken: test.weak}) {
			got = append(got, fmt.Sprintf("%s %s: %s", d.GetSeverity().String()[len("SEVERITY_"):], d.GetPath(), d.GetMessage()))
		}
		if fmt.Sprint(got) != fmt.Sprint(test.want) || p.settings.Host != test.host {
			t.Errorf("%s: host %q\n got %q\nwant %q", test.section, p.settings.Host, got, test.want)
		}
	}
	for _, wrong := range []string{`{"port":"9093"}`, `{"verifyToken":1}`, `{"waitTimeout":"5s"}`, `[]`} {
		diagnostics := plugintest.Configure(t, New(), plugintest.Options{Config: wrong})
		if len(diagnostics) == 0 || diagnostics[0].GetSeverity() != pluginpb.Severity_SEVERITY_ERROR {
			t.Errorf("%s was taken", wrong)
		}
	}
}

func TestPortInUseIsAnError(t *testing.T) {
	core := start(t, "", plugintest.Options{})
	p := New().(*plugin)
	config := sdk.NewConfig("http", fmt.Appendf(nil, `{"host":"127.0.0.1","port":%s}`, core.Endpoints()[0][len("127.0.0.1:"):]))
	if err := p.Configure(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Start(t.Context(), nil); err == nil {
		t.Error("started twice on one port")
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Errorf("stop of what did not start: %v", err)
	}
}
