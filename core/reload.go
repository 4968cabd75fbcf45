package core

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	"mpush/core/config"
	"mpush/core/link"
	"mpush/core/supervisor"
	"mpush/sdk/pluginpb"
)

// Changes are the names of what a reload has changed, never values.
type Changes struct {
	Settings []string // the relay's own keys
	// Of channels:
	Added     []string
	Changed   []string
	Removed   []string
	Restarted []string // were out of service, and are tried again as they are
}

// None tells whether everything is as it was.
func (c *Changes) None() bool {
	return len(c.Settings)+len(c.Added)+len(c.Changed)+len(c.Removed)+len(c.Restarted) == 0
}

// Reload makes the running relay be as next says. First everything is checked,
// with processes of its own for the channels that are new or get something else
// than they have; on a fault nothing is changed, and the error names all faults.
// Then those channels are stopped and started anew. All others go on untouched.
//
// It does not wait for those channels to run, Await does: a plugin may hang then,
// which holds up nothing else. One that starts badly although it was checked (it
// can not listen, say) is not an error: its Status tells, and the rest runs.
//
// Reload works while Run serves, one call at a time; further ones wait. When ctx
// ends it returns soon with ctx's error.
func (c *Core) Reload(ctx context.Context, next *config.Config) (*Changes, error) {
	c.reloading.Lock()
	defer c.reloading.Unlock()
	c.mu.Lock()
	before, running := c.config, c.plans
	c.mu.Unlock()
	if running == nil {
		return nil, errors.New("reload: the relay does not run yet")
	}
	plans, err := makePlans(next, &c.options)
	if err != nil {
		return nil, err
	}
	changes, begin := c.compare(running, plans)
	changes.Settings = before.Differences(next)
	manifests, err := c.rehearse(ctx, next, changes, begin)
	if err != nil {
		return nil, err
	}
	begin = slices.DeleteFunc(begin, func(p plan) bool { return manifests[p.spec.Channel] == nil })
	change, err := c.auth.Prepare(next.Token.Reveal(), next.AuthTTL, tokensOf(next)...)
	if err != nil {
		return nil, err
	}

	// The last that may fail.
	if err := c.moveOps(next); err != nil {
		return nil, err
	}
	end := slices.Concat(changes.Changed, changes.Removed, changes.Restarted)
	c.drain(ctx, end)
	if err := c.apply(ctx, next, plans, func() {
		c.board.Replace(slices.Concat(end, changes.Added), manifests)
		change()
	}); err != nil {
		return nil, err
	}
	if err := c.supervisor.Begin(specsOf(begin)); err != nil {
		return nil, err
	}
	return changes, nil
}

// apply puts a configuration in force, change being what it does to the tokens and
// the commands, and tells the engine.
func (c *Core) apply(ctx context.Context, next *config.Config, plans []plan, change func()) error {
	c.applying.Lock()
	defer c.applying.Unlock()
	c.adopt(next, plans)
	change()
	c.changeGuards(guardLimits(next))
	return c.relay.Submit(ctx, c.reconfigure(next))
}

// Await returns once the channels that a reload has begun run or have failed, or
// ctx ends.
func (c *Core) Await(ctx context.Context, changes *Changes) {
	_ = c.await(ctx, slices.Concat(changes.Added, changes.Changed, changes.Restarted)) // ctx's end
}

// await waits for channels to run or fail. One that can not listen tells so in its
// Status.
func (c *Core) await(ctx context.Context, channels []string) error {
	err := c.supervisor.Await(ctx, channels...)
	if _, ok := errors.AsType[*supervisor.ListenError](err); ok {
		return nil
	}
	return err
}

// compare says which channels have to be changed, and how to run those that are
// to begin.
func (c *Core) compare(running map[string]plan, plans []plan) (*Changes, []plan) {
	outOfService := make(map[string]bool)
	for _, s := range c.supervisor.Status() {
		outOfService[s.Channel] = s.State == supervisor.Misconfigured || s.State == supervisor.Down
	}
	changes, wanted := &Changes{}, make(map[string]bool)
	var begin []plan
	for _, p := range plans {
		name := p.spec.Channel
		wanted[name] = true
		switch old, runs := running[name]; {
		case !runs:
			changes.Added = append(changes.Added, name)
		case !p.equals(old):
			changes.Changed = append(changes.Changed, name)
		case outOfService[name]:
			changes.Restarted = append(changes.Restarted, name)
		default:
			continue
		}
		begin = append(begin, p)
	}
	for name := range running {
		if !wanted[name] {
			changes.Removed = append(changes.Removed, name)
		}
	}
	slices.Sort(changes.Removed)
	return changes, begin
}

func (p plan) equals(other plan) bool {
	return reflect.DeepEqual(p.spec, other.spec) && reflect.DeepEqual(p.bounds, other.bounds) && proto.Equal(p.request, other.request)
}

// rehearse describes and configures the channels that are to begin, in processes
// of their own, and returns the commands that each will claim. A channel that
// was out of service before and would be again is taken out of changes, with no
// entry in the result: that it is not mended must not keep others from it.
func (c *Core) rehearse(ctx context.Context, next *config.Config, changes *Changes, begin []plan) (map[string][]string, error) {
	r := &rehearsal{config: next, plans: make(map[string]plan), board: link.NewSwitchboard(), hidden: &c.hidden, faults: make(map[string][]error)}
	for _, p := range begin {
		r.plans[p.spec.Channel] = p
	}
	for channel, commands := range c.board.Claims() {
		if _, changed := r.plans[channel]; !changed && !slices.Contains(changes.Removed, channel) {
			_ = r.board.Claim(channel, commands) // nobody else is there yet
		}
	}
	results, err := c.supervisor.Check(ctx, specsOf(begin), r)
	if err != nil {
		return nil, err
	}
	manifests, faults := make(map[string][]string), []error(nil)
	for _, result := range results {
		name := result.Channel
		switch {
		case result.Err == nil:
			manifests[name] = append([]string{}, result.Manifest.GetCommands()...)
		case slices.Contains(changes.Restarted, name):
			changes.Restarted = slices.DeleteFunc(changes.Restarted, func(s string) bool { return s == name })
		case len(r.faults[name]) > 0:
			faults = append(faults, r.faults[name]...)
		default:
			faults = append(faults, fmt.Errorf("channel %s: %w", name, result.Err))
		}
	}
	return manifests, errors.Join(faults...)
}

// drain ends channels. Whoever waits for an answer on them gets the one of the
// moment; ctx's end does not cut that off.
func (c *Core) drain(ctx context.Context, channels []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	for _, name := range channels {
		c.mu.Lock()
		l := c.links[name]
		c.mu.Unlock()
		if l != nil {
			l.Drain(ctx)
		}
	}
	c.supervisor.Remove(ctx, channels...)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range channels {
		delete(c.links, name)
		delete(c.faults, name)
	}
}

// rehearsal answers the channels that are checked before a reload.
type rehearsal struct {
	config *config.Config
	plans  map[string]plan
	board  *link.Switchboard
	hidden *secrets

	mu     sync.Mutex
	faults map[string][]error // by channel
}

// Described is as a channel's start has it, but for the others' claims as they
// will be.
func (r *rehearsal) Described(_ context.Context, channel string, manifest *pluginpb.DescribeResponse) (*pluginpb.ConfigureRequest, error) {
	p := r.plans[channel]
	if err := p.admit(manifest, r.board); err != nil {
		return nil, err
	}
	err := p.judge(r.config, manifest, r.hidden)
	if faults, ok := errors.AsType[sectionFaults](err); ok {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, fault := range faults {
			r.faults[channel] = append(r.faults[channel], fault)
		}
	}
	return p.request, err
}

// Diagnosed keeps the faults. What else a channel remarks is logged when it
// starts.
func (r *rehearsal) Diagnosed(channel string, diagnostics []*pluginpb.Diagnostic) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range diagnostics {
		switch d.Severity {
		case pluginpb.Severity_SEVERITY_WARNING, pluginpb.Severity_SEVERITY_INFO:
		default:
			r.faults[channel] = append(r.faults[channel], r.config.Fault(channel, d.Path, d.Message))
		}
	}
}
