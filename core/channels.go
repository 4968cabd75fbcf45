package core

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"mpush/core/config"
	"mpush/core/link"
	"mpush/core/supervisor"
	"mpush/sdk/pluginpb"
)

// passedOn are the variables that every plugin may see: they concern its
// runtime, and hold no secrets.
var passedOn = []string{
	"PATH", "HOME", "TMPDIR", "TZ", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"GODEBUG", "GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GOTRACEBACK", "GOCOVERDIR",
}

// specs says how to run each channel that is switched on.
func (c *Core) specs() ([]supervisor.Spec, error) {
	var specs []supervisor.Spec
	for _, channel := range c.options.Config.Channels {
		if !channel.Enabled {
			continue
		}
		spec := supervisor.Spec{Channel: channel.Name, Bundled: channel.Bundled, DisableMTLS: !channel.MTLS}
		var rights []pluginpb.Right
		if channel.Bundled {
			bundled, ok := c.options.Bundled[channel.Name]
			if !ok {
				return nil, fmt.Errorf("channel %s is not part of this program", channel.Name)
			}
			spec.Command, spec.Args, spec.Env, rights = bundled.Command, bundled.Args, slices.Clone(bundled.Env), bundled.Rights
		} else {
			spec.Command, spec.Args, spec.SHA256 = channel.Path, channel.Args, channel.SHA256
			rights = grants(channel.Rights)
		}
		given := environment(c.options.Environ, append(slices.Clone(passedOn), channel.Env...))
		spec.Env = append(spec.Env, given...) // the later entry counts
		specs = append(specs, spec)
		c.mu.Lock()
		c.rights[channel.Name] = rights
		c.mu.Unlock()
	}
	return specs, nil
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

// Described checks that the plugin may have what it asks for, and gives it its
// section and nothing else.
func (h *handler) Described(_ context.Context, channel string, manifest *pluginpb.DescribeResponse) (*pluginpb.ConfigureRequest, error) {
	h.mu.Lock()
	granted := h.rights[channel]
	h.mu.Unlock()
	for _, right := range manifest.Rights {
		if !slices.Contains(granted, right) {
			name := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(right.String(), "RIGHT_")), "_", "-")
			return nil, fmt.Errorf("it needs the right %q: grant it with \"rights\": [%q] in its entry, or do without it", name, name)
		}
	}
	if err := h.board.Claim(channel, manifest.Commands); err != nil {
		return nil, err
	}
	cfg := h.options.Config
	request := &pluginpb.ConfigureRequest{Channel: channel, WeakToken: cfg.WeakToken(), Rights: granted}
	for _, c := range cfg.Channels {
		if c.Name == channel {
			request.Config = c.Section
		}
	}
	if slices.Contains(granted, pluginpb.Right_RIGHT_MASTER_TOKEN) {
		request.MasterToken = cfg.Token.Reveal()
	}
	for _, prefix := range cfg.TrustedProxies {
		request.TrustedProxies = append(request.TrustedProxies, prefix.String())
	}
	return request, nil
}

// Diagnosed logs what a plugin says of its section, with its place in the file.
func (h *handler) Diagnosed(channel string, diagnostics []*pluginpb.Diagnostic) {
	for _, d := range diagnostics {
		log := h.log.Error
		switch d.Severity {
		case pluginpb.Severity_SEVERITY_WARNING:
			log = h.log.Warn
		case pluginpb.Severity_SEVERITY_INFO:
			log = h.log.Info
		}
		fault := h.options.Config.Fault(channel, d.Path, d.Message)
		log("configuration", "channel", channel, "at", fault.Position(), "key", fault.Path, "what", fault.Message)
		if d.Severity != pluginpb.Severity_SEVERITY_WARNING && d.Severity != pluginpb.Severity_SEVERITY_INFO {
			h.mu.Lock()
			if h.faults[channel] == nil {
				h.faults[channel] = fault
			}
			h.mu.Unlock()
		}
	}
}

// Connect runs the plugin's stream.
func (h *handler) Connect(ctx context.Context, channel string, client pluginpb.PluginClient, declared func()) error {
	h.mu.Lock()
	l := link.New(link.Options{
		Channel: channel, Rights: h.rights[channel], Relay: h.relay, Auth: h.auth,
		Switchboard: h.board, Declared: declared,
	})
	h.links[channel] = l
	h.mu.Unlock()
	return l.Run(ctx, client)
}

// channelChanged lets deliveries begin when a channel has started.
func (c *Core) channelChanged(status supervisor.Status) {
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
