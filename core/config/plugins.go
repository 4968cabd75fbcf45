package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// pluginKeys are those of a third-party plugin's entry.
func pluginKeys() []known {
	return []known{
		{"plugins", object},
		{"plugins.*", object},
		{"plugins.*.path", text},
		{"plugins.*.args", words},
		{"plugins.*.env", words},
		{"plugins.*.sha256", text},
		{"plugins.*.unpinned", flag},
		{"plugins.*.enabled", flag},
		{"plugins.*.rights", words},
		{"plugins.*.limits", object},
		{"plugins.*.limits.memory", count},
		{"plugins.*.limits.inFlight", count},
		{"plugins.*.limits.publishRate", count},
		{"plugins.*.limits.publishBurst", count},
		{"plugins.*.targets", object},
		{"plugins.*.targets.names", words},
		{"plugins.*.targets.groups", words},
		{"plugins.*.receivers", object},
		{"plugins.*.receivers.names", words},
		{"plugins.*.receivers.groups", words},
		{"plugins.*.mtls", flag},
		{"plugins.*.reattach", text},
		{"plugins.*.config", object},
	}
}

// pluginEntries takes the third-party channels.
func (r *report) pluginEntries(c *Config, root *node, e *expander) {
	plugins := root.get("plugins")
	if plugins == nil {
		return
	}
	if plugins.kind != '{' {
		r.fault(plugins.at, "plugins", "expected an object with a key for each plugin, found %s", plugins.describe())
		return
	}
	for _, m := range plugins.members {
		path := joinKey("plugins", m.name)
		switch {
		case m.value.kind == 'n':
		case CheckPluginName(m.name) != nil:
			r.fault(m.value.at, path, "%s", CheckPluginName(m.name))
		case m.value.kind != '{':
			r.fault(m.value.at, path, "expected an object, found %s", m.value.describe())
		default:
			c.Channels = append(c.Channels, r.pluginEntry(c, m.name, m.value, e))
		}
	}
}

// CheckPluginName tells why a third party's channel may not be called so, or nil.
func CheckPluginName(name string) error {
	if !regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`).MatchString(name) {
		return errors.New("a plugin's name has 1 to 32 letters a-z, digits and hyphens and begins with a letter")
	}
	if slices.Contains(reservedNames(), name) {
		return fmt.Errorf("the name %s is reserved: choose another, such as my-%[1]s", name)
	}
	return nil
}

func (r *report) pluginEntry(c *Config, name string, entry *node, e *expander) Channel {
	channel := Channel{Name: name, Enabled: true, MTLS: true, MaxInFlight: usualInFlight}
	path := joinKey("plugins", name)
	children := childrenOf("plugins.*")
	for _, m := range entry.members {
		if !slices.Contains(children, m.name) {
			hint := UnknownKey(m.name, children)
			if _, near := nearest(m.name, children); !near {
				hint += "; the plugin's own keys belong into config"
			}
			r.fault(m.value.at, joinKey(path, m.name), "%s", hint)
		}
	}
	r.take(entry, path, "enabled", flag, func(v any) { channel.Enabled = v.(bool) })
	if channel.Enabled {
		e.expand(entry, path)
	}
	r.take(entry, path, "args", words, func(v any) { channel.Args = v.([]string) })
	r.take(entry, path, "mtls", flag, func(v any) { channel.MTLS = v.(bool) })
	r.pluginLimits(&channel, entry.get("limits"), joinKey(path, "limits"))
	r.take(entry, path, "config", object, func(v any) {
		if channel.Enabled {
			channel.Section = v.(*node).encode()
		}
	})
	channel.Targets = r.scope(entry.get("targets"), joinKey(path, "targets"))
	channel.Receivers = r.scope(entry.get("receivers"), joinKey(path, "receivers"))
	r.take(entry, path, "reattach", text, func(v any) {
		if channel.Reattach = v.(string); channel.Reattach != "" && !filepath.IsAbs(channel.Reattach) {
			channel.Reattach = filepath.Join(e.dir, channel.Reattach)
		}
	})
	if channel.Reattach == "" {
		r.executable(&channel, entry, path, e.dir)
	} else if channel.Enabled {
		r.warn(entry.get("reattach").at, joinKey(path, "reattach"), "the relay does not start this plugin, it connects to one that was started by hand")
	}
	r.environment(&channel, entry, path, e.env)
	r.rights(&channel, entry, path)
	return channel
}

// executable reads what is run, and demands that it be pinned or expressly not.
func (r *report) executable(channel *Channel, entry *node, path, dir string) {
	if entry.get("path") == nil {
		r.fault(entry.at, path, "path is missing: the plugin's executable, relative to the config file")
	}
	r.take(entry, path, "path", text, func(v any) {
		channel.Path = v.(string)
		if channel.Path == "" {
			r.fault(entry.get("path").at, joinKey(path, "path"), "is empty: expected the plugin's executable")
		} else if !filepath.IsAbs(channel.Path) {
			channel.Path = filepath.Join(dir, channel.Path)
		}
	})
	r.take(entry, path, "unpinned", flag, func(v any) { channel.Unpinned = v.(bool) })
	pin := entry.get("sha256")
	switch {
	case pin == nil && !channel.Unpinned:
		r.fault(entry.at, path, `expected the executable's "sha256" (sha256sum prints it), or "unpinned": true to run whatever is there`)
	case pin != nil && channel.Unpinned:
		r.fault(pin.at, joinKey(path, "sha256"), `contradicts "unpinned": true: remove one of them`)
	default:
		r.take(entry, path, "sha256", text, func(v any) {
			channel.SHA256 = strings.ToLower(v.(string))
			if sum, err := hex.DecodeString(channel.SHA256); err != nil || len(sum) != 32 {
				r.fault(pin.at, joinKey(path, "sha256"), "expected 64 hex digits")
			}
		})
	}
}

func (r *report) environment(channel *Channel, entry *node, path string, env map[string]string) {
	r.take(entry, path, "env", words, func(v any) {
		channel.Env = v.([]string)
		for i, name := range channel.Env {
			at, path := entry.get("env").elements[i].at, joinIndex(joinKey(path, "env"), i)
			if name == "" || strings.ContainsAny(name, "=\x00") {
				r.fault(at, path, "expected the name of an environment variable, without a value")
			} else if _, set := env[name]; !set && channel.Enabled {
				r.warn(at, path, "the environment variable %s is not set, the plugin will not get it", name)
			}
		}
	})
}

func (r *report) rights(channel *Channel, entry *node, path string) {
	rights := []string{RightMasterToken, RightAcceptWithoutToken, RightTakeNames}
	r.take(entry, path, "rights", words, func(v any) {
		channel.Rights = v.([]string)
		for i, right := range channel.Rights {
			if !slices.Contains(rights, right) {
				r.fault(entry.get("rights").elements[i].at, joinIndex(joinKey(path, "rights"), i),
					"unknown right: expected one of %s", strings.Join(rights, ", "))
			}
		}
	})
}
