package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mpush/core/auth"
	"mpush/core/config"
	"mpush/core/link"
	"mpush/core/supervisor"
	"mpush/sdk/pluginpb"
)

// passedOn are the variables that every plugin may see: they concern its
// runtime, and hold no secrets.
var passedOn = []string{
	"PATH", "HOME", "TMPDIR", "TZ", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"GODEBUG", "GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GOTRACEBACK", "GOCOVERDIR", "GORACE",
}

// plan is all that the process of a channel is made of and gets: two channels
// with equal plans need not be told apart.
type plan struct {
	spec    supervisor.Spec
	request *pluginpb.ConfigureRequest // Rights are those that the channel is granted
	bounds  bounds
}

// bounds are what the operator allows a third party's channel.
type bounds struct {
	targets, receivers        *config.Scope
	inFlight                  int64
	publishRate, publishBurst int64
}

// makePlans says how to run each channel that is switched on, in their order.
func makePlans(cfg *config.Config, options *Options) ([]plan, error) {
	var plans []plan
	for _, channel := range cfg.Channels {
		if !channel.Enabled {
			continue
		}
		spec, rights, err := specOf(channel, options)
		if err != nil {
			return nil, err
		}
		plans = append(plans, plan{spec, configureRequest(cfg, channel, rights), boundsOf(channel)})
	}
	return plans, nil
}

// specOf says how to run a channel's plugin, and what rights it is granted.
func specOf(channel config.Channel, options *Options) (spec supervisor.Spec, rights []pluginpb.Right, err error) {
	spec = supervisor.Spec{Channel: channel.Name, Bundled: channel.Bundled, DisableMTLS: !channel.MTLS}
	if channel.Bundled {
		bundled, ok := options.Bundled[channel.Name]
		if !ok {
			return spec, nil, fmt.Errorf("channel %s is not part of this program", channel.Name)
		}
		spec.Command, spec.Args, spec.Env, rights = bundled.Command, bundled.Args, slices.Clone(bundled.Env), bundled.Rights
	} else {
		spec.Command, spec.Args, spec.SHA256, spec.Reattach = channel.Path, channel.Args, channel.SHA256, channel.Reattach
		rights = grants(channel.Rights)
	}
	given := environment(options.Environ, append(slices.Clone(passedOn), channel.Env...))
	spec.Env = append(spec.Env, given...) // the later entry counts
	if spec.MaxMemory = channel.MaxMemory; spec.MaxMemory > 0 {
		// The runtime of a Go plugin makes an effort before it is killed.
		spec.Env = append(spec.Env, fmt.Sprintf("GOMEMLIMIT=%d", spec.MaxMemory/10*9))
	}
	return spec, rights, nil
}

func boundsOf(channel config.Channel) bounds {
	return bounds{channel.Targets, channel.Receivers, channel.MaxInFlight, channel.PublishRate, channel.PublishBurst}
}

// forLink is what a channel's link enforces. Call with mu held.
func (c *Core) forLink(p plan) link.Bounds {
	if p.spec.Bundled {
		return link.Bounds{}
	}
	return link.Bounds{
		Guest: true, Targets: scopeOf(p.bounds.targets), Receivers: scopeOf(p.bounds.receivers),
		InFlight: int(p.bounds.inFlight), Meter: c.meterOf(p),
	}
}

func scopeOf(s *config.Scope) *auth.Scope {
	if s == nil {
		return nil
	}
	scope := &auth.Scope{}
	for _, pattern := range s.Names {
		scope.Names = append(scope.Names, auth.Pattern(pattern))
	}
	for _, pattern := range s.Groups {
		scope.Groups = append(scope.Groups, auth.Pattern(pattern))
	}
	return scope
}

// configureRequest is a channel's section and nothing else, but for what its
// rights entitle it to.
func configureRequest(cfg *config.Config, channel config.Channel, rights []pluginpb.Right) *pluginpb.ConfigureRequest {
	request := &pluginpb.ConfigureRequest{
		Channel: channel.Name, Config: channel.Section, WeakToken: cfg.WeakToken(), Rights: rights,
	}
	if slices.Contains(rights, pluginpb.Right_RIGHT_MASTER_TOKEN) {
		request.MasterToken = cfg.Token.Reveal()
	}
	for _, prefix := range cfg.TrustedProxies {
		request.TrustedProxies = append(request.TrustedProxies, prefix.String())
	}
	return request
}

func specsOf(plans []plan) []supervisor.Spec {
	specs := make([]supervisor.Spec, len(plans))
	for i, p := range plans {
		specs[i] = p.spec
	}
	return specs
}

// enabled lists the channels that are switched on.
func enabled(cfg *config.Config) []string {
	names := []string{}
	for _, channel := range cfg.Channels {
		if channel.Enabled {
			names = append(names, channel.Name)
		}
	}
	return names
}

// environment picks variables by name.
func environment(environ, names []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return !slices.Contains(names, name)
	})
}

func grants(names []string) (rights []pluginpb.Right) {
	for _, name := range names {
		switch name {
		case config.RightMasterToken:
			rights = append(rights, pluginpb.Right_RIGHT_MASTER_TOKEN)
		case config.RightAcceptWithoutToken:
			rights = append(rights, pluginpb.Right_RIGHT_ACCEPT_WITHOUT_TOKEN)
		case config.RightTakeNames:
			rights = append(rights, pluginpb.Right_RIGHT_TAKE_NAMES)
		}
	}
	return rights
}

// handler is what the core is to the supervisor.
type handler Core

// Described checks that the plugin may have what it asks for and that its
// section fits its schema, and gives it its section and nothing else.
func (h *handler) Described(_ context.Context, channel string, manifest *pluginpb.DescribeResponse) (*pluginpb.ConfigureRequest, error) {
	p := (*Core)(h).plan(channel)
	if err := p.admit(manifest, h.board); err != nil {
		return nil, err
	}
	err := p.judge((*Core)(h).inForce(), manifest, &h.hidden)
	if faults, ok := errors.AsType[sectionFaults](err); ok {
		for _, fault := range faults {
			h.tell(channel, h.log.Error, fault)
			h.blame(channel, fault)
		}
	}
	return p.request, err
}

// admit checks what a plugin asks for, and lets it have the commands.
func (p plan) admit(manifest *pluginpb.DescribeResponse, board *link.Switchboard) error {
	for _, right := range manifest.Rights {
		if !slices.Contains(p.request.GetRights(), right) {
			name := rightName(right)
			return fmt.Errorf("it needs the right %q: grant it with \"rights\": [%q] in its entry, or do without it", name, name)
		}
	}
	return board.Claim(p.spec.Channel, manifest.Commands)
}

// rightName is what the configuration calls a right.
func rightName(right pluginpb.Right) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(right.String(), "RIGHT_")), "_", "-")
}

// Diagnosed logs what a plugin says of its section, with its place in the file.
func (h *handler) Diagnosed(channel string, diagnostics []*pluginpb.Diagnostic) {
	h.mu.Lock()
	cfg := h.config
	h.mu.Unlock()
	for _, d := range diagnostics {
		log := h.log.Error
		switch d.Severity {
		case pluginpb.Severity_SEVERITY_WARNING:
			log = h.log.Warn
		case pluginpb.Severity_SEVERITY_INFO:
			log = h.log.Info
		}
		fault := cfg.Fault(channel, d.Path, d.Message)
		h.tell(channel, log, fault)
		if d.Severity != pluginpb.Severity_SEVERITY_WARNING && d.Severity != pluginpb.Severity_SEVERITY_INFO {
			h.blame(channel, fault)
		}
	}
}

func (h *handler) tell(channel string, log func(message string, args ...any), fault config.Fault) {
	log("configuration", "channel", channel, "at", fault.Position(), "key", fault.Path, "what", fault.Message)
}

// blame keeps a fault for whoever asks why the channel does not run. A channel
// that is tried again has the same ones.
func (h *handler) blame(channel string, fault config.Fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Contains(h.faults[channel], error(fault)) {
		h.faults[channel] = append(h.faults[channel], fault)
	}
}

// conductOf is what a channel has done wrong so far, in all lives of its plugin.
// Call with mu held.
func (h *handler) conductOf(channel string) *link.Conduct {
	conduct := h.conduct[channel]
	if conduct == nil {
		conduct = link.NewConduct(channel, h.log, time.Now, func(what string) { h.supervisor.Accuse(channel, what) })
		h.conduct[channel] = conduct
	}
	return conduct
}

// Connect runs the plugin's stream.
func (h *handler) Connect(ctx context.Context, channel string, client pluginpb.PluginClient, declared func()) error {
	p := (*Core)(h).plan(channel)
	h.mu.Lock()
	l := link.New(link.Options{
		Channel: channel, Rights: p.request.GetRights(), Bounds: (*Core)(h).forLink(p), Relay: h.relay, Auth: h.auth,
		Switchboard: h.board, Guard: (*Core)(h).guardOf(channel, p.spec.Bundled), Conduct: h.conductOf(channel), Declared: declared,
		Refused: h.metrics.Refused,
	})
	h.links[channel] = l
	h.mu.Unlock()
	return l.Run(ctx, client)
}

// channelChanged lets deliveries begin when a channel has started.
func (c *Core) channelChanged(status supervisor.Status) {
	c.metrics.Restarted(status.Channel, status.Restarts)
	if status.State != supervisor.Running {
		return
	}
	c.mu.Lock()
	l := c.links[status.Channel]
	c.mu.Unlock()
	if l != nil {
		l.Ready()
	}
}
