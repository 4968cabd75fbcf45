package listen_test

import (
	"context"
	"fmt"
	"testing"

	"mpush/sdk"
	"mpush/sdk/listen"
	"mpush/sdk/plugintest"
)

// open is a plugin that does with its section what a channel does that clients
// connect to.
type open struct {
	doors []listen.OpenDoor
	host  string
}

func (o *open) Describe() sdk.Manifest { return sdk.Manifest{Name: "open"} }

func (o *open) Configure(_ context.Context, config *sdk.Config) error {
	var section struct {
		Bind string `json:"bind"`
	}
	if err := config.Decode(&section); err != nil {
		return err
	}
	o.host = listen.Host(config, "bind", section.Bind, o.doors...)
	return nil
}

func TestHostIsLoopbackAloneWhileAnybodyCanEnter(t *testing.T) {
	const weak = "the token is empty or well known"
	door := []listen.OpenDoor{{Why: "anonymous is true", Mend: "leave it out"}}
	only := func(why, mend string) string {
		return fmt.Sprintf("bind: listening on 127.0.0.1 only, since %s: %s to be reachable from elsewhere, or name a host", why, mend)
	}
	reachable := func(host, why, mend string) string {
		return fmt.Sprintf("bind: %q is reachable from elsewhere while %s: %s", host, why, mend)
	}
	for _, test := range []struct {
		name  string
		bind  string
		weak  bool
		doors []listen.OpenDoor
		host  string
		want  string // the warning
	}{
		{"all interfaces", "", false, nil, "", ""},
		{"named", "192.0.2.1", false, nil, "192.0.2.1", ""},
		{"weak token", "", true, nil, "127.0.0.1", only(weak, "set a token of your own")},
		{"open door", "", false, door, "127.0.0.1", only("anonymous is true", "leave it out")},
		{"both", "", true, door, "127.0.0.1", only(weak, "set a token of your own")},
		{"weak token, named", "0.0.0.0", true, nil, "0.0.0.0", reachable("0.0.0.0", weak, "set a token of your own")},
		{"open door, named", "mpush.example", false, door, "mpush.example", reachable("mpush.example", "anonymous is true", "leave it out")},
		{"weak token, loopback", "127.8.9.10", true, nil, "127.8.9.10", ""},
		{"weak token, loopback 6", "::1", true, door, "::1", ""},
		{"weak token, localhost", "localhost", true, nil, "localhost", ""},
		{"weak token, not quite loopback", "128.0.0.1", true, nil, "128.0.0.1", reachable("128.0.0.1", weak, "set a token of your own")},
	} {
		plugin := &open{doors: test.doors}
		warning := ""
		for _, d := range plugintest.Configure(t, plugin, plugintest.Options{Config: fmt.Sprintf(`{"bind":%q}`, test.bind), WeakToken: test.weak}) {
			warning += d.GetPath() + ": " + d.GetMessage()
		}
		if plugin.host != test.host || warning != test.want {
			t.Errorf("%s: host %q, warning %q\nwant %q, %q", test.name, plugin.host, warning, test.host, test.want)
		}
	}
}
