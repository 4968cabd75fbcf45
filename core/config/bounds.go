package config

import (
	"slices"
	"strings"
	"unicode"
)

// leastMemory is what a plugin's process needs to run at all, in bytes.
const leastMemory = 32 << 20

// usualInFlight bounds what a third party's plugin holds if its entry does not
// say: far more than a service on the network is asked at once, and little enough
// that one which takes all and settles none keeps some megabytes from others.
const usualInFlight = 4096

// burstSeconds is how many seconds' worth of messages a plugin may send at once
// if its entry does not say.
const burstSeconds = 10

// maxPatternBytes is what a name may have, so that a longer pattern fits none.
const maxPatternBytes = 256

// pluginLimits reads what a plugin may take.
func (r *report) pluginLimits(channel *Channel, limits *node, path string) {
	if !r.section(limits, path, "plugins.*.limits") {
		return
	}
	r.take(limits, path, "memory", count, func(v any) {
		channel.MaxMemory = v.(int64)
		if channel.MaxMemory > 0 && channel.MaxMemory < leastMemory {
			r.warn(limits.get("memory").at, joinKey(path, "memory"), "%d bytes are too few, raised to %d", channel.MaxMemory, leastMemory)
			channel.MaxMemory = leastMemory
		}
	})
	r.take(limits, path, "inFlight", count, func(v any) { channel.MaxInFlight = v.(int64) })
	r.take(limits, path, "publishRate", count, func(v any) { channel.PublishRate = v.(int64) })
	channel.PublishBurst = burstSeconds * channel.PublishRate
	r.take(limits, path, "publishBurst", count, func(v any) {
		at, path := limits.get("publishBurst").at, joinKey(path, "publishBurst")
		switch channel.PublishBurst = v.(int64); {
		case limits.get("publishRate") == nil:
			r.fault(at, path, "is of no effect without publishRate")
		case channel.PublishBurst < 1:
			r.warn(at, path, "0 is too little, raised to 1")
			channel.PublishBurst = 1
		}
	})
}

// scope reads whom a plugin may deal with; nil if the entry does not say.
func (r *report) scope(n *node, path string) *Scope {
	if !r.section(n, path, "plugins.*.targets") {
		return nil
	}
	return r.patterns(n, path)
}

// patterns reads the names and the groups of an object.
func (r *report) patterns(n *node, path string) *Scope {
	scope := &Scope{}
	for name, patterns := range map[string]*[]string{"names": &scope.Names, "groups": &scope.Groups} {
		r.take(n, path, name, words, func(v any) {
			*patterns = v.([]string)
			for i, pattern := range *patterns {
				if !isPattern(pattern) {
					r.fault(n.get(name).elements[i].at, joinIndex(joinKey(path, name), i), patternWanted, maxPatternBytes)
				}
			}
		})
	}
	return scope
}

// patternWanted is what a fault says of a pattern that is none.
const patternWanted = "expected a name of 1 to %d bytes without control characters, in which * stands for any run of characters"

func isPattern(pattern string) bool {
	return pattern != "" && len(pattern) <= maxPatternBytes && !strings.ContainsFunc(pattern, unicode.IsControl)
}

// section checks that a member of an entry is an object with known keys alone,
// and tells whether it is there to be read.
func (r *report) section(n *node, path, pattern string) bool {
	if n == nil {
		return false
	}
	if n.kind != '{' {
		r.fault(n.at, path, "expected an object, found %s", n.describe())
		return false
	}
	children := childrenOf(pattern)
	for _, m := range n.members {
		if !slices.Contains(children, m.name) {
			r.fault(m.value.at, joinKey(path, m.name), "%s", UnknownKey(m.name, children))
		}
	}
	return true
}
