package conformance

import (
	"cmp"
	"context"
	"time"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
)

// Target is the plugin to check, and what it needs to show what it can. Either
// Command or New is set.
type Target struct {
	// Command is an executable and its arguments. A name without a slash is
	// looked up in PATH.
	Command []string
	// Dir is its working directory; "" is the caller's.
	Dir string
	// Env is added to the little that every plugin gets of the environment
	// (PATH, HOME, TMPDIR, TZ, LANG and the like), NAME=VALUE.
	Env []string
	// DisableMTLS is for runtimes that cannot do it, as "mtls": false is in the
	// operator's configuration.
	DisableMTLS bool

	// New makes a plugin within this process, one for each of its lives. What
	// takes a process of its own is skipped.
	New func() sdk.Plugin

	// Channel is the name that the operator gives; "" is that of the manifest.
	Channel string
	// Config is the operator's section, JSON; "" is none.
	Config string
	// Section, if set, judges a section, "" or JSON, by the plugin's schema as the
	// core does before Configure: the faults are the section's, each with its
	// path, and the error says what about the schema is not served. "mpush plugin
	// test" has the core's own; without it no schema is compiled.
	Section func(schema, section []byte) (faults []string, err error)
	// Commands are sent before anything is delivered, for a plugin that gets
	// its routes by a command that it claims.
	Commands []Command
	// Receivers: deliver to these only, of those that the plugin has a route
	// to. With Commands they are the callers, two of the kit's own if there are
	// none.
	Receivers []string
	// FarSide, if set, is called when the plugin has started, with what its
	// Start named as endpoints, before anything is delivered. It connects what
	// receives (with Token, for a client that attaches) and returns when that
	// is so. ctx ends when that life of the plugin does: what FarSide has
	// started ends by itself then.
	FarSide func(ctx context.Context, endpoints []string) error

	// Messages is how many messages make a load; 0 is 300.
	Messages int
	// Patience is how long the kit waits for what the plugin must do; 0 is
	// 30 s. What the core itself allows less for, such as an answer to Health,
	// is not changed by it.
	Patience time.Duration

	serve func() pluginpb.PluginServer // instead of New, for plugins without the sdk
}

// Command is a client's command with its data, JSON.
type Command struct{ Name, Data string }

// Token is the relay's token, as far as the plugin can know.
const Token = "conformance"

func (t Target) withDefaults() Target {
	t.Messages = cmp.Or(t.Messages, 300)
	t.Patience = cmp.Or(t.Patience, 30*time.Second)
	if len(t.Commands) > 0 && len(t.Receivers) == 0 {
		t.Receivers = []string{"conformance-1", "conformance-2"}
	}
	if t.serve == nil && t.New != nil {
		t.serve = func() pluginpb.PluginServer {
			var caught registrar
			sdk.Register(&caught, t.New())
			return caught.server
		}
	}
	return t
}

// isProcess tells whether each life of the plugin is a process.
func (t Target) isProcess() bool { return len(t.Command) > 0 }
