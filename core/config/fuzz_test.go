package config

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// FuzzLoad: no text and no variable makes Load panic. What it accepts has
// sections that are JSON, and positions for whatever a channel may say of them;
// what it refuses it refuses with a place.
func FuzzLoad(f *testing.F) {
	for _, path := range []string{"testdata/readme.json", "../../config.json"} {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text), "MPUSH_HTTP_PORT", "8080", "clients[0].url")
	}
	for _, seed := range [][4]string{
		{`{}`, "MPUSH_TOKEN", "x", ""},
		{`{"http": {"a": [{"b": 1}]}}`, "MPUSH_HTTP_A_0_B", `{"c": null}`, "a[0].b.c"},
		{`{"plugins": {"a-b": {"path": "p", "unpinned": true, "config": {"k": "${env:X}$${file:y}"}}}}`, "MPUSH_PLUGINS_A_B_CONFIG", "{}", `["k"]`},
		{`{"limits": {"ttl": "7d"}, "trustedProxies": ["::1"], "log": {"level": "info"}, "fcm": 1,}`, "MPUSH_LIMITS_TTL", "1w", "x."},
		{"{// \xff\n\"token\": 1e400}", "MPUSH__", "=", "[[]"},
		{`{"http":{"a":1,"\u0061":2}}`, "mpush_websocket", `{"port": 9093}`, ""},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, text, name, value, key string) {
		c, err := build(newSource("config.json", []byte(text)), "/nonexistent", Options{Environ: []string{"X=x", name + "=" + value}})
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if line == "" {
					t.Errorf("an empty fault in %q", err)
				}
			}
			for _, one := range err.(interface{ Unwrap() []error }).Unwrap() {
				fault, ok := one.(Fault)
				if !ok || fault.File == "" || fault.Message == "" || fault.Line < 1 && fault.File == "config.json" || strings.Contains(fault.Error(), "\n") {
					t.Errorf("fault %#v", one)
				}
			}
			return
		}
		for _, ch := range c.Channels {
			if ch.Section != nil && (!json.Valid(ch.Section) || !bytes.HasPrefix(ch.Section, []byte("{"))) {
				t.Errorf("%s: %q", ch.Name, ch.Section)
			}
			if c.Position(ch.Name, key) == "" {
				t.Errorf("%s: no position for %q", ch.Name, key)
			}
		}
	})
}
