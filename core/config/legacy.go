package config

import (
	"slices"
	"strings"
)

// This file is the only place in the core that knows the bundled channels by
// name: the sections that config.json has had since mpush 2, the kinds of their
// keys (for environment variables, which have no types of their own; the
// channels check their sections themselves), and the words that they reserve.

// bundled is a channel that is part of the program.
type bundled struct {
	name   string
	served bool // the program has it already
	keys   []known
}

func bundledChannels() []bundled {
	return []bundled{
		{"http", true, []known{
			{"http.enabled", flag}, {"http.host", text}, {"http.port", count}, {"http.verifyToken", flag},
			{"http.tls", object}, {"http.tls.cert", file}, {"http.tls.key", file},
			{"http.waitTimeout", count}, {"http.cors", flag}, {"http.maxBody", count}, {"http.maxConnections", count}, {"http.maxConnectionsPerAddress", count},
			{"http.headerTimeout", count}, {"http.readTimeout", count}, {"http.idleTimeout", count},
		}},
		{"websocket", true, []known{
			{"websocket.enabled", flag}, {"websocket.host", text}, {"websocket.port", count}, {"websocket.verifyToken", flag},
			{"websocket.tls", object}, {"websocket.tls.cert", file}, {"websocket.tls.key", file},
			{"websocket.authTimeout", count}, {"websocket.retryTimeout", count}, {"websocket.waitTimeout", count},
			{"websocket.maxFrame", count}, {"websocket.maxConnections", count}, {"websocket.maxConnectionsPerAddress", count}, {"websocket.pingInterval", count}, {"websocket.idleTimeout", count},
		}},
		{"webhook", true, []known{
			{"webhook.enabled", flag}, {"webhook.retryTimeout", count}, {"webhook.timeout", count},
			{"webhook.clients", anything}, {"webhook.proxy", anything},
		}},
		{"webpush", true, []known{
			{"webpush.enabled", flag}, {"webpush.serverKey", text}, {"webpush.apiKey", text}, {"webpush.proxy", anything},
			{"webpush.retryTimeout", count}, {"webpush.allowEndpoints", words}, {"webpush.subject", text}, {"webpush.ttl", count},
		}},
		{"console", false, []known{{"console.enabled", flag}}},
	}
}

// laterSections belong to later versions of the old server: a file that has
// them loads, with a warning.
func laterSections() []string { return []string{"fcm"} }

// reservedNames cannot name a third-party channel: they mean something else in
// packets, in the file, or on the command line.
func reservedNames() []string {
	names := append(topLevelNames(), "mpush", "core", "relay", "plugin")
	return slices.Sorted(slices.Values(names))
}

// topLevelNames are the keys that config.json may have.
func topLevelNames() []string {
	names := append(laterSections(), "plugins")
	for name := range settingNames(settings()) {
		names = append(names, name)
	}
	for _, b := range bundledChannels() {
		names = append(names, b.name)
	}
	return slices.Sorted(slices.Values(names))
}

func isBundled(name string) bool {
	return slices.ContainsFunc(bundledChannels(), func(b bundled) bool { return b.name == name })
}

// checkPorts refuses one port for two listeners, which later versions of the
// old server used to mean one listener for both.
func (r *report) checkPorts(root *node) {
	type listener struct {
		key      string
		port     int64
		host     string
		disabled bool
		at       *place
	}
	listeners := []listener{{key: "http", port: 9093}, {key: "websocket", port: 9094}}
	for i := range listeners {
		l := &listeners[i]
		section := root.get(l.key)
		if section == nil {
			continue
		}
		if enabled := section.get("enabled"); enabled != nil {
			l.disabled = enabled.kind == 'f'
		}
		if host := section.get("host"); host != nil {
			l.host = host.text()
		}
		if port := section.get("port"); port != nil {
			l.at = &port.at
			var whole bool
			if l.port, whole = wholeNumber(port.text()); !whole || port.kind != '0' {
				return // the channel will complain
			}
		}
	}
	a, b := listeners[0], listeners[1]
	anywhere := func(host string) bool { return host == "" || strings.Trim(host, "[]") == "::" || host == "0.0.0.0" }
	apart := a.host != b.host && !anywhere(a.host) && !anywhere(b.host)
	if a.port == 0 || a.port != b.port || a.disabled || b.disabled || apart {
		return
	}
	at, path := b.at, "websocket.port"
	if at == nil {
		at, path = a.at, "http.port"
	}
	r.fault(*at, path, "http.port and websocket.port are both %d: each needs a port of its own, "+
		"give one of them another number (the defaults are http.port 9093, websocket.port 9094)", a.port)
}
