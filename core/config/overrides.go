package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const variablePrefix = "MPUSH_"

// known is a key whose kind the program knows; "*" in its path is any name.
type known struct {
	path string
	kind kind
}

func knownKeys() []known {
	var all []known
	for _, s := range settings() {
		all = append(all, known{s.path, s.kind})
	}
	for _, b := range bundledChannels() {
		all = append(all, known{b.name, object})
		all = append(all, b.keys...)
	}
	for _, name := range laterSections() {
		all = append(all, known{name, anything})
	}
	return append(all, pluginKeys()...)
}

// override is one value from beside the file.
type override struct {
	origin string   // for faults
	parts  []string // of the key, in whatever case
	value  string
	strict bool // an unknown key is a fault, not a warning
}

// variables are the overrides among the environment's "NAME=value" entries, in
// an order that does not depend on theirs. An empty variable counts as unset:
// that is what an unset variable of a container's definition looks like.
func (r *report) variables(environ []string) []override {
	byName := make(map[string]string) // name in upper case → as it is written
	found := make(map[string]override)
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		upper := strings.ToUpper(name)
		rest, ours := strings.CutPrefix(upper, variablePrefix)
		if !ours || rest == "CONFIG" || rest == "DATA" || value == "" || strings.ContainsFunc(name, unicode.IsControl) {
			continue
		}
		o := override{origin: "environment variable " + name, value: value}
		if other, twice := byName[upper]; twice {
			if other != name {
				r.fault(place{origin: o.origin}, "", "is given twice, also as %s", other)
			}
			continue
		}
		byName[upper] = name
		o.parts = strings.FieldsFunc(name[len(variablePrefix):], func(c rune) bool { return c == '_' })
		found[upper] = o
	}
	return inOrder(found)
}

// flags are the overrides of the command line, by key path.
func flags(values map[string]string) []override {
	found := make(map[string]override)
	for path, value := range values {
		found[path] = override{
			origin: "command line " + path,
			parts:  strings.FieldsFunc(path, func(c rune) bool { return c == '.' }),
			value:  value,
			strict: true,
		}
	}
	return inOrder(found)
}

// inOrder sorts by name, so that a whole comes before its parts.
func inOrder(found map[string]override) []override {
	var list []override
	for _, name := range slices.Sorted(maps.Keys(found)) {
		list = append(list, found[name])
	}
	return list
}

// lay puts the overrides where they belong: the relay's own keys into the
// returned layer, all others into the tree.
func (r *report) lay(root *node, overrides []override, ignored map[string]bool) layer {
	own := make(layer)
	for _, o := range overrides {
		at := place{origin: o.origin}
		switch {
		case !utf8.ValidString(o.value):
			r.fault(at, "", "not UTF-8 text")
			continue
		case len(o.parts) == 0:
			r.fault(at, "", "names no key")
			continue
		}
		top := topLevelNames()
		_, _, ok := match(o.parts, top)
		switch {
		case ok:
			r.place(root, own, o)
		case o.strict:
			r.fault(at, "", "%s", UnknownKey(o.parts[0], top))
		case !ignored[strings.TrimPrefix(o.origin, "environment variable ")]:
			// Not a fault: container platforms set variables like
			// MPUSH_SERVICE_HOST for a service of our name.
			hint := ""
			if near, ok := nearest(o.parts[0], top); ok {
				hint = fmt.Sprintf(" (did you mean %s%s?)", variablePrefix, strings.ToUpper(near))
			}
			r.warn(at, "", "names no key and was ignored%s", hint)
		}
	}
	return own
}

// own takes a value for one of the relay's own keys: section is its first part.
func (r *report) own(own layer, at place, section string, parts []string, value string) {
	path, children := section, settingNames(settings())[section]
	if len(children) > 0 {
		if len(parts) == 0 {
			r.fault(at, path, "is a section: name one of its keys (%s)", strings.Join(children, ", "))
			return
		}
		name, used, ok := match(parts, children)
		if !ok {
			name = spelled(strings.Join(parts, "_"))
			r.fault(at, joinKey(path, name), "%s", UnknownKey(name, children))
			return
		}
		path, parts = joinKey(path, name), parts[used:]
	}
	if len(parts) > 0 {
		r.fault(at, path, "has no key %s", strings.ToLower(strings.Join(parts, "_")))
		return
	}
	n, problem := kindOf(path).fromVariable(value, at)
	if problem != "" {
		r.fault(at, path, "%s", problem)
		return
	}
	own[path] = n
}
