package supervisor

import (
	"log/slog"
	"testing"
)

func TestPluginsAddressMustBeItsOwnOrLoopback(t *testing.T) {
	for _, tt := range []struct {
		network, address string
		good             bool
	}{
		{"unix", "/run/mp/plugin-dir1/plugin2", true},
		{"unix", "/run/mp/plugin-dir1/deeper/plugin2", true},
		{"unix", "/run/mp/plugin-dir1/../plugin-dir2/plugin2", false},
		{"unix", "/run/mp/plugin-dir10/plugin2", false},
		{"unix", "/tmp/x", false},
		{"unix", "plugin2", false},
		{"unix", "", false},
		{"tcp", "127.0.0.1:1234", true},
		{"tcp", "[::1]:1234", true},
		{"tcp", "10.0.0.1:1234", false},
		{"tcp", "localhost:1234", false},
		{"tcp", ":1234", false},
		{"udp", "127.0.0.1:1234", false},
	} {
		r := newProcessRunner(Spec{DisableMTLS: true}, slog.New(newJournal()), verbatim)
		r.dir = "/run/mp/plugin-dir1"
		if _, _, err := r.PluginToHost(tt.network, tt.address); (err == nil) != tt.good {
			t.Errorf("%s %q: error %v", tt.network, tt.address, err)
		}
	}
}

func TestHandshakeIsToldFromOtherLines(t *testing.T) {
	for line, want := range map[string]bool{
		"1|1|unix|/x|grpc|cert": true,
		"1|1|tcp|127.0.0.1:1":   true,
		"1|1|tcp":               false,
		"a|1|tcp|x":             false,
		"1|b|tcp|x":             false,
		"|||":                   false,
		"Starting…":             false,
		"":                      false,
	} {
		if got := isHandshake([]byte(line)); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}
