package core

import (
	"log/slog"
	"net/netip"
	"testing"

	"mpush/core/config"
)

// A plugin that makes up addresses shuts out nobody but its own clients.
func TestAddressOfThirdPartysClientCountsForThatChannelAlone(t *testing.T) {
	c := &Core{log: slog.New(slog.DiscardHandler)}
	c.changeGuards(guardLimits(&config.Config{Limits: config.Limits{PublishRate: 1, PublishBurst: 1, AuthFailures: 1}}))
	const victim = "192.0.2.1"
	evil := c.guardOf("evil", false)
	evil.Login(victim, false)
	evil.Publish(victim, "ann")
	if _, refused := evil.Login(victim, true); refused == nil {
		t.Error("not counted")
	}
	for channel, bundled := range map[string]bool{"ours": true, "other": false} {
		g := c.guardOf(channel, bundled)
		if _, refused := g.Login(victim, true); refused != nil {
			t.Errorf("%s: %v", channel, refused)
		}
		if refused := g.Publish(victim, "ann"); refused != nil {
			t.Errorf("%s: %v", channel, refused)
		}
	}
	if c.guardOf("ours", true) != c.guardOf("ours too", true) {
		t.Error("the bundled channels do not count together")
	}
	if c.guardOf("evil", false) != evil {
		t.Error("forgotten when the plugin starts again")
	}
}

func TestChangedLimitsReachAllGuards(t *testing.T) {
	c := &Core{log: slog.New(slog.DiscardHandler)}
	c.changeGuards(guardLimits(&config.Config{Limits: config.Limits{AuthFailures: 1}}))
	wrong := func(channel string, bundled bool, remote string) (refused bool) {
		for range 3 {
			_, refusal := c.guardOf(channel, bundled).Login(remote, false)
			refused = refused || refusal != nil
		}
		return refused
	}
	channels := map[string]bool{"ours": true, "other": false}
	for channel, bundled := range channels {
		if !wrong(channel, bundled, "192.0.2.1") {
			t.Errorf("%s: let through", channel)
		}
	}
	c.changeGuards(guardLimits(&config.Config{
		Limits: config.Limits{AuthFailures: 1}, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	}))
	for channel, bundled := range channels {
		if wrong(channel, bundled, "192.0.2.1") {
			t.Errorf("%s: a trusted proxy is refused", channel)
		}
	}
	c.changeGuards(guardLimits(&config.Config{Limits: config.Limits{AuthFailures: 1000}}))
	for channel, bundled := range channels {
		if wrong(channel, bundled, "198.51.100.1") {
			t.Errorf("%s: refused under the new limit", channel)
		}
	}
}
