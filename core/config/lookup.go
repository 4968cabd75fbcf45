package config

import (
	"strconv"
	"strings"
	"unicode"
)

// cursor is a place in the tree while an override looks for its key.
type cursor struct {
	value   *node       // nil: nothing there yet
	put     func(*node) // writes there
	path    string      // "plugins.telegram.args[0]"
	pattern string      // "plugins.*.args.*", as known keys are written
}

// place walks from the root to the key that the override names and sets it,
// making what is missing on the way.
func (r *report) place(root *node, own layer, o override) {
	at := place{origin: o.origin}
	here, parts := cursor{value: root}, o.parts
	for len(parts) > 0 {
		if here.value == nil {
			here.value = &node{kind: '{', at: at}
			here.put(here.value)
		}
		next, used, problem := here.descend(parts)
		if problem != "" {
			r.fault(at, here.path, "%s", problem)
			return
		}
		here, parts = next, parts[used:]
		if isSetting(here.pattern) {
			r.own(own, at, here.pattern, parts, o.value)
			return
		}
	}
	n, problem := kindOf(here.pattern).fromVariable(o.value, at)
	if problem != "" {
		r.fault(at, here.path, "%s", problem)
		return
	}
	here.put(n)
}

// descend goes one key or index deeper and says how many parts that took.
func (c cursor) descend(parts []string) (next cursor, used int, problem string) {
	switch parent := c.value; parent.kind {
	case '{':
		children := childrenOf(c.pattern)
		for _, m := range parent.members {
			children = append(children, m.name)
		}
		name, used, ok := match(parts, children)
		if !ok {
			name, used = spelled(parts[0]), 1
		}
		next.value = parent.get(name)
		next.put = func(n *node) { parent.set(name, n) }
		next.path = joinKey(c.path, name)
		next.pattern = strings.TrimPrefix(c.pattern+"."+name, ".")
		if c.pattern == "plugins" {
			next.pattern = "plugins.*"
		}
		return next, used, ""
	case '[':
		i, err := strconv.Atoi(parts[0])
		if err != nil || i < 0 || i > len(parent.elements) {
			return cursor{}, 0, "is an array: expected an index from 0 to " + strconv.Itoa(len(parent.elements)) + " after it"
		}
		if i < len(parent.elements) {
			next.value = parent.elements[i]
			next.put = func(n *node) { parent.elements[i] = n }
		} else {
			next.put = func(n *node) { parent.elements = append(parent.elements, n) }
		}
		next.path, next.pattern = joinIndex(c.path, i), c.pattern+".*"
		return next, 1, ""
	default:
		return cursor{}, 0, "is " + parent.describe() + ", which has no key " + strings.ToLower(parts[0])
	}
}

func isSetting(name string) bool {
	_, ok := settingNames(settings())[name]
	return ok
}

func kindOf(pattern string) kind {
	for _, k := range knownKeys() {
		if k.path == pattern {
			return k.kind
		}
	}
	return anything
}

// childrenOf lists the known keys below a pattern; "" is the top.
func childrenOf(pattern string) []string {
	if pattern == "" {
		return topLevelNames()
	}
	var names []string
	for _, k := range knownKeys() {
		if rest, ok := strings.CutPrefix(k.path, pattern+"."); ok && rest != "*" && !strings.Contains(rest, ".") {
			names = append(names, rest)
		}
	}
	return names
}

// match finds the candidate that the first parts spell, whatever their case;
// the one of most parts if there are several. A part boundary inside a key is
// allowed: VERIFY_TOKEN and VERIFYTOKEN both are verifyToken.
func match(parts, candidates []string) (name string, used int, ok bool) {
	for used = len(parts); used > 0; used-- {
		spelling := squash(strings.Join(parts[:used], ""))
		for _, candidate := range candidates {
			if squash(candidate) == spelling {
				return candidate, used, true
			}
		}
	}
	return "", 0, false
}

// squash leaves what a variable's name can express of a key.
func squash(s string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(s))
}

// spelled is how a key that nobody knows is written: as it stands if its case
// says something, else in lower case.
func spelled(part string) string {
	if strings.ContainsFunc(part, unicode.IsLower) {
		return part
	}
	return strings.ToLower(part)
}
