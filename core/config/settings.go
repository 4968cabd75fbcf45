package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
)

// setting is one of the relay's own keys.
type setting struct {
	path     string
	kind     kind
	fallback any                 // nil: none
	oneOf    []string            // of a text: the words that it may be
	valid    func(string) string // of a text: what is wrong with it, "" for nothing; or nil
	served   bool                // something acts upon it
	least    int64               // of a count: a smaller one is raised to it
	most     int64               // of a count: a larger one is lowered to it, as is 0; 0: none
}

// leastDuration: a shorter one is raised to it, with a warning. 0 is not shorter
// but switches off what the duration bounds.
const leastDuration = time.Second

// mostGroupMembers: the statuses of a group send, with the longest of names, must
// fit one answer to the channel that it came from.
const mostGroupMembers = 10_000

func settings() []setting {
	const day = 24 * time.Hour
	return []setting{
		{path: "token", kind: scalar, fallback: "", served: true},
		{path: "tokens", kind: tokenList, fallback: []Token(nil), served: true},
		{path: "auth.ttl", kind: duration, fallback: time.Duration(0), served: true},
		{path: "trustedProxies", kind: words, fallback: []string{"127.0.0.0/8", "::1/128"}, served: true},
		{path: "log.level", kind: text, fallback: "info", oneOf: []string{"debug", "info", "warn", "error"}, served: true},
		{path: "log.format", kind: text, fallback: "text", oneOf: []string{"text", "json"}, served: true},
		{path: "limits.ttl", kind: duration, fallback: 7 * day, served: true},
		{path: "limits.queueLength", kind: count, fallback: int64(100_000), served: true},
		{path: "limits.queueBytes", kind: count, fallback: int64(256 << 20), served: true},
		{path: "limits.receivers", kind: count, fallback: int64(100_000), served: true},
		{path: "limits.groupMembers", kind: count, fallback: int64(mostGroupMembers), most: mostGroupMembers, served: true},
		{path: "limits.publishRate", kind: count, fallback: int64(200), served: true},
		{path: "limits.publishBurst", kind: count, fallback: int64(2000), least: 1, served: true},
		{path: "limits.authFailures", kind: count, fallback: int64(10), served: true},
		{path: "limits.forgetAfter", kind: duration, fallback: 90 * day, served: true},
		{path: "limits.diskReserve", kind: count, fallback: int64(64 << 20), served: true},
		{path: "history.keep", kind: duration, fallback: 7 * day, served: true},
		{path: "ops.listen", kind: text, fallback: "127.0.0.1:9095", valid: validListen, served: true},
		{path: "ops.pprof", kind: flag, fallback: false, served: true},
	}
}

// layer holds values of the relay's own keys from one origin, by path.
type layer map[string]*node

// fileLayer takes the relay's own keys out of the file's tree and reports keys
// in their sections that do not exist.
func (r *report) fileLayer(root *node) layer {
	values := make(layer)
	known := settingNames(settings())
	for _, m := range root.members {
		children, ours := known[m.name]
		switch {
		case !ours || m.value.kind == 'n':
		case len(children) == 0:
			values[m.name] = m.value
		case m.value.kind != '{':
			r.fault(m.value.at, m.name, "expected an object, found %s", m.value.describe())
		default:
			for _, inner := range m.value.members {
				path := joinKey(m.name, inner.name)
				if instead, gone := goneKeys()[path]; gone {
					r.fault(inner.value.at, path, "%s", instead)
				} else if !slices.Contains(children, inner.name) {
					r.fault(inner.value.at, path, "%s", UnknownKey(inner.name, children))
				} else if inner.value.kind != 'n' {
					values[path] = inner.value
				}
			}
		}
	}
	return values
}

// goneKeys are keys that were accepted once, with what to write instead.
func goneKeys() map[string]string {
	return map[string]string{
		"limits.connections": "there is no such limit for all listeners: remove it, and set http.maxConnections and websocket.maxConnections",
	}
}

// settingNames maps the first part of each path to what may follow; to nothing
// for a key that stands alone.
func settingNames(all []setting) map[string][]string {
	names := make(map[string][]string)
	for _, s := range all {
		section, key, nested := strings.Cut(s.path, ".")
		if nested {
			names[section] = append(names[section], key)
		} else {
			names[section] = nil
		}
	}
	return names
}

// apply checks the layers, lays the later ones over the earlier ones and fills
// the configuration's own fields.
func (r *report) apply(c *Config, layers ...layer) error {
	merged := koanf.NewWithConf(koanf.Conf{Delim: ".", StrictMerge: true})
	fallbacks := make(map[string]any)
	for _, s := range settings() {
		if s.fallback != nil {
			fallbacks[s.path] = s.fallback
		}
	}
	flat := []map[string]any{fallbacks}
	for _, l := range layers {
		flat = append(flat, r.check(c, l))
	}
	for _, values := range flat {
		if err := merged.Load(confmap.Provider(values, "."), nil); err != nil {
			return fmt.Errorf("merge configuration: %w", err)
		}
	}
	c.own = merged.Get
	if err := merged.Unmarshal("limits", &c.Limits); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	c.Token = Secret(merged.String("token"))
	c.Tokens, _ = merged.Get("tokens").([]Token)
	r.tellApart(c, layers)
	c.AuthTTL = merged.Duration("auth.ttl")
	c.HistoryKeep = merged.Duration("history.keep")
	c.Ops.Listen, c.Ops.Pprof = merged.String("ops.listen"), merged.Bool("ops.pprof")
	for _, l := range layers {
		_, given := l["ops.listen"]
		c.Ops.Explicit = c.Ops.Explicit || given
	}
	c.Log.Format = merged.String("log.format")
	if err := c.Log.Level.UnmarshalText([]byte(merged.String("log.level"))); err != nil {
		c.Log.Level = slog.LevelInfo // the fault is reported already
	}
	for _, proxy := range merged.Strings("trustedProxies") {
		if prefix, ok := parseProxy(proxy); ok {
			c.TrustedProxies = append(c.TrustedProxies, prefix)
		}
	}
	return nil
}

// check turns a layer's nodes into values. What nothing acts upon yet is noted
// in the configuration.
func (r *report) check(c *Config, l layer) map[string]any {
	values := make(map[string]any)
	for _, s := range settings() {
		n, given := l[s.path]
		if !given {
			continue
		}
		if value, ok := r.read(n, s.path, s.kind); ok && r.inRange(n, s, &value) && s.served {
			values[s.path] = value
		}
		if !s.served && !slices.Contains(c.Unserved, s.path) {
			c.Unserved = append(c.Unserved, s.path)
		}
	}
	return values
}

// inRange checks what a setting demands beyond its kind, and raises a duration
// that is too short.
func (r *report) inRange(n *node, s setting, value *any) bool {
	switch v := (*value).(type) {
	case string:
		if s.oneOf != nil && !slices.Contains(s.oneOf, v) {
			r.fault(n.at, s.path, "expected one of %s", strings.Join(s.oneOf, ", "))
			return false
		}
		if s.valid != nil {
			if what := s.valid(v); what != "" {
				r.fault(n.at, s.path, "%s", what)
				return false
			}
		}
	case int64:
		if s.most > 0 && (v == 0 || v > s.most) {
			r.warn(n.at, s.path, "%d is too much, lowered to %d", v, s.most)
			*value = s.most
		}
		if v < s.least {
			r.warn(n.at, s.path, "%d is too little, raised to %d", v, s.least)
			*value = s.least
		}
	case time.Duration:
		if v != 0 && v < leastDuration {
			r.warn(n.at, s.path, "%d ms is too short, raised to %d ms", v.Milliseconds(), leastDuration.Milliseconds())
			*value = leastDuration
		}
	case []string: // trustedProxies is the only one
		ok := true
		for i, proxy := range v {
			if _, valid := parseProxy(proxy); !valid {
				r.fault(n.elements[i].at, joinIndex(s.path, i), "expected an address or a network like 10.0.0.0/8")
				ok = false
			}
		}
		return ok
	}
	return true
}

// parseProxy reads an address or a network. Bits beyond a network's length are
// dropped, and an IPv4 address in its IPv6 form is the IPv4 address.
func parseProxy(s string) (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	prefix, err := netip.ParsePrefix(s)
	return prefix.Masked(), err == nil
}

// validListen checks an address to listen on.
func validListen(s string) string {
	_, port, err := net.SplitHostPort(s)
	number, notNumber := strconv.ParseUint(port, 10, 16)
	if s != "" && (err != nil || notNumber != nil || strconv.FormatUint(number, 10) != port) {
		return `expected an address with a port like "127.0.0.1:9095", or "" for none`
	}
	return ""
}
