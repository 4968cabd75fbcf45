package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Value is one value of the effective configuration.
type Value struct {
	Path   string          `json:"path"` // of the key, "webhook.clients[0].url"
	Value  json.RawMessage `json:"value"`
	Origin string          `json:"origin"`           // "default", "config.json:3:5", "environment variable MPUSH_TOKEN"
	From   []string        `json:"from,omitempty"`   // the references that it was expanded from, "${file:token}"
	Secret bool            `json:"secret,omitempty"` // Value does not tell it
}

// hidden stands for a secret.
var hidden = json.RawMessage(`"` + redacted + `"`)

// Own are the relay's own keys, in the order of the manual, and what entries of
// third parties' plugins say beside their sections. Secrets are hidden.
func (c *Config) Own() []Value {
	var values []Value
	for _, s := range settings() {
		var given *node
		for _, l := range c.layers {
			if given == nil {
				given = l[s.path]
			}
		}
		switch {
		case given != nil && s.path == "tokens":
			c.walk(given, s.path, nil, func(path string) bool { return strings.HasSuffix(path, ".token") }, &values)
		case given != nil:
			v := Value{Path: s.path, Value: shown(c.own(s.path)), Origin: c.source.fault(given.at, "", "").Position(), From: given.from}
			if !s.served {
				v.Value = given.encode()
			}
			values = append(values, v)
		case s.kind == tokenList:
			values = append(values, Value{Path: s.path, Value: json.RawMessage("[]"), Origin: "default"})
		case s.fallback != nil:
			values = append(values, Value{Path: s.path, Value: shown(s.fallback), Origin: "default"})
		}
		if n := len(values); n > 0 && values[n-1].Path == "token" && c.Token != "" {
			values[n-1].Value, values[n-1].Secret = hidden, true
		}
	}
	if plugins := c.root.get("plugins"); plugins != nil {
		for _, entry := range plugins.members {
			// What came by a reference may be meant to be nowhere else.
			c.walk(entry.value, joinKey("plugins", entry.name), []string{"config"}, nil, &values)
		}
	}
	return values
}

// Section are the values of a channel's section, as they stand there: a channel
// that is switched off has one value, which says so. secret tells which values,
// as text, are hidden, beside those that came from a file of their own; nil hides
// all texts and numbers.
func (c *Config) Section(channel string, secret func(text string) bool) []Value {
	section := []step{{key: channel}}
	if !isBundled(channel) {
		section = []step{{key: "plugins"}, {key: channel}, {key: "config"}}
	}
	n := c.root
	for _, s := range section {
		if n = n.get(s.key); n == nil {
			return nil
		}
	}
	var values []Value
	all := func(n *node) bool {
		// A file of its own is where a secret is put that no schema knows of, as in
		// the url of a webhook.
		fromFile := slices.ContainsFunc(n.from, func(ref string) bool { return strings.HasPrefix(ref, "${file:") })
		return secret == nil || fromFile || secret(n.text())
	}
	c.visit(n, formatSteps(section), nil, func(_ string, n *node) bool { return (n.kind == '"' || n.kind == '0') && all(n) }, &values)
	if isBundled(channel) {
		if i := slices.IndexFunc(values, func(v Value) bool { return v.Path == channel+".enabled" && string(v.Value) == "false" }); i >= 0 {
			return values[i : i+1] // the rest counts for nothing, and its references were not followed
		}
	}
	return values
}

// walk is visit for what no schema speaks of: the paths that are secret are
// named, and all that came by a reference is.
func (c *Config) walk(n *node, path string, omit []string, secret func(path string) bool, values *[]Value) {
	c.visit(n, path, omit, func(path string, n *node) bool { return len(n.from) > 0 || secret != nil && secret(path) }, values)
}

// visit collects the scalars below a node. omit are members that it passes over.
func (c *Config) visit(n *node, path string, omit []string, secret func(path string, n *node) bool, values *[]Value) {
	switch {
	case n.kind == '{' && len(n.members) > 0:
		for _, m := range n.members {
			if !slices.Contains(omit, m.name) && m.value.kind != 'n' {
				c.visit(m.value, joinKey(path, m.name), nil, secret, values)
			}
		}
	case n.kind == '[' && len(n.elements) > 0:
		for i, element := range n.elements {
			c.visit(element, joinIndex(path, i), nil, secret, values)
		}
	default:
		v := Value{Path: path, Value: n.encode(), Origin: c.source.fault(n.at, "", "").Position(), From: n.from}
		if secret(path, n) {
			v.Value, v.Secret = hidden, true
		}
		*values = append(*values, v)
	}
}

// shown is a value of the relay's own keys as JSON.
func shown(value any) json.RawMessage {
	if d, ok := value.(time.Duration); ok {
		value = fmt.Sprint(d)
		if d == 0 {
			value = 0
		} else if day := 24 * time.Hour; d%day == 0 {
			value = fmt.Sprintf("%dd", d/day)
		} else if d%time.Millisecond == 0 {
			value = d.Milliseconds()
		}
	}
	text, err := json.Marshal(value)
	if err != nil {
		return hidden
	}
	return text
}
