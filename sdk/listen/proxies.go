package listen

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the addresses of reverse proxies whose word about their clients is
// believed: sdk.Config.TrustedProxies.
type Proxies []netip.Prefix

// Client is the address, without port, that a request comes from: the peer's,
// or, where that is a trusted proxy, the last address in X-Forwarded-For that is
// not a trusted proxy's. Everything before that address is the client's own
// invention. Where the header ends among proxies, or holds something else than
// an address, it is the address that was found last.
func (ps Proxies) Client(r *http.Request) string {
	peer := host(r.RemoteAddr)
	for _, line := range slices.Backward(r.Header["X-Forwarded-For"]) {
		for _, hop := range slices.Backward(strings.Split(line, ",")) {
			if !ps.trust(peer) {
				return peer
			}
			addr, err := netip.ParseAddr(host(strings.TrimSpace(hop)))
			if err != nil {
				return peer
			}
			peer = addr.Unmap().String()
		}
	}
	return peer
}

func (ps Proxies) trust(address string) bool {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	return ps.contain(addr.Unmap().WithZone(""))
}

func (ps Proxies) contain(addr netip.Addr) bool {
	return slices.ContainsFunc(ps, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// host is an address without its port and brackets. A bare IPv6 address, which
// has colons but no brackets, is left alone.
func host(address string) string {
	colon := strings.LastIndexByte(address, ':')
	if colon >= 0 && (address[0] == '[' || strings.IndexByte(address, ':') == colon) && !strings.HasSuffix(address, "]") {
		address = address[:colon]
	}
	return strings.Trim(address, "[]")
}
