package config

import (
	"path/filepath"
	"strings"
)

// bundledSections takes the sections of the bundled channels.
func (r *report) bundledSections(c *Config, root *node, e *expander) {
	for _, b := range bundledChannels() {
		section := root.get(b.name)
		if section != nil && section.kind != '{' {
			r.fault(section.at, b.name, `expected an object, found %s (to switch the channel off: {"enabled": false})`, section.describe())
			continue
		}
		if !b.served {
			if section != nil {
				c.Unserved = append(c.Unserved, b.name)
			}
			continue
		}
		channel := Channel{Name: b.name, Bundled: true, Enabled: true, MTLS: true}
		if section != nil {
			r.take(section, b.name, "enabled", flag, func(v any) { channel.Enabled = v.(bool) })
			if channel.Enabled {
				e.expand(section, b.name)
				e.locate(section, b)
				channel.Section = section.encode("enabled")
			}
		}
		c.Channels = append(c.Channels, channel)
	}
	r.checkPorts(root)
	for _, name := range laterSections() {
		if section := root.get(name); section != nil {
			r.warn(section.at, name, "belongs to a later version of mpush and is ignored")
		}
	}
}

// take reads a member of an object if it is there and right.
func (r *report) take(parent *node, path, name string, k kind, use func(value any)) {
	n := parent.get(name)
	if n == nil {
		return
	}
	if value, ok := r.read(n, joinKey(path, name), k); ok {
		use(value)
	}
}

// locate makes the paths of a section absolute: a channel does not know where the
// config file is. Values of another kind are left for the channel to refuse.
func (e *expander) locate(section *node, b bundled) {
	for _, k := range b.keys {
		if k.kind != file {
			continue
		}
		n := section
		for _, name := range strings.Split(k.path, ".")[1:] {
			if n = n.get(name); n == nil {
				break
			}
		}
		if n != nil && n.kind == '"' && n.text() != "" && !filepath.IsAbs(n.text()) {
			n.literal = quote(filepath.Join(e.dir, n.text()))
		}
	}
}
