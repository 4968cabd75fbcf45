package core

import (
	"time"

	"mpush/core/config"
	"mpush/core/guard"
)

// guards hold clients to their limits. The bundled channels have one together. A
// third party's has its own, for as long as the relay runs: whose address a
// client has is the plugin's word, which must not shut out another channel's.
type guards struct {
	limits  guard.Limits
	bundled *guard.Guard
	others  map[string]*guard.Guard // by channel
	meters  map[string]*guard.Meter // of third parties' channels, likewise
}

// guardLimits is the guards' share of the configuration, at the start and at a
// reload.
func guardLimits(cfg *config.Config) guard.Limits {
	return guard.Limits{
		PublishRate:  cfg.Limits.PublishRate,
		PublishBurst: cfg.Limits.PublishBurst,
		AuthFailures: cfg.Limits.AuthFailures,
		Trusted:      cfg.TrustedProxies,
	}
}

// guardOf is the one that a channel's clients meet. Call with mu held.
func (c *Core) guardOf(channel string, bundled bool) *guard.Guard {
	g := &c.guards
	if bundled {
		if g.bundled == nil {
			g.bundled = guard.New(g.limits, c.log, time.Now)
		}
		return g.bundled
	}
	if g.others[channel] == nil {
		if g.others == nil {
			g.others = make(map[string]*guard.Guard)
		}
		g.others[channel] = guard.New(g.limits, c.log.With("channel", channel), time.Now)
	}
	return g.others[channel]
}

// meterOf is what counts all that a third party's channel sends. Call with mu
// held.
func (c *Core) meterOf(p plan) *guard.Meter {
	channel := p.spec.Channel
	m := c.guards.meters[channel]
	if m == nil {
		if c.guards.meters == nil {
			c.guards.meters = make(map[string]*guard.Meter)
		}
		m = guard.NewMeter("plugins."+channel+".limits.publishRate", time.Now)
		c.guards.meters[channel] = m
	}
	m.Change(int(p.bounds.publishRate), int(p.bounds.publishBurst))
	return m
}

// changeGuards replaces the limits of all.
func (c *Core) changeGuards(limits guard.Limits) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.guards.limits = limits
	if c.guards.bundled != nil {
		c.guards.bundled.Change(limits)
	}
	for _, other := range c.guards.others {
		other.Change(limits)
	}
}
