package websocket

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// isStrange tells whether a browser on this machine shows a page that came from
// elsewhere. Other programs send no Origin as a rule. Whoever comes by a proxy that says
// for whom it speaks is not on this machine: no page can add that to a handshake.
func isStrange(r *http.Request, client string) bool {
	return isLoopback(client) && slices.ContainsFunc(r.Header["Origin"], func(origin string) bool { return !isLocal(origin) })
}

// isLocal tells whether an origin is on loopback, whatever its port. "null" is not:
// any page can have it, by a frame.
func isLocal(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	host := strings.ToLower(u.Hostname())
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	return isLoopback(host)
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
