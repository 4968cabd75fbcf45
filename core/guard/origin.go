package guard

import "net/netip"

// origin is what an address says of where a client is.
type origin uint8

const (
	// unknown: no address, or that of a proxy that does not say for whom it
	// speaks. Many clients may be behind it.
	unknown origin = iota
	// local: a program on this machine. It has better ways to do harm.
	local
	// distant: it is counted.
	distant
)

// siteBits is how much of an IPv6 address is counted: the rest is the client's
// to choose.
const siteBits = 64

// origin returns what a client's address counts as, and where that is.
func (l *Limits) origin(remote string) (netip.Addr, origin) {
	addr, err := netip.ParseAddr(remote)
	if err != nil {
		return netip.Addr{}, unknown
	}
	addr = addr.Unmap().WithZone("")
	if addr.IsLoopback() {
		return netip.Addr{}, local
	}
	for _, proxy := range l.Trusted {
		if proxy.Contains(addr) {
			return netip.Addr{}, unknown
		}
	}
	if addr.Is6() {
		site, err := addr.Prefix(siteBits)
		if err != nil {
			return netip.Addr{}, unknown
		}
		addr = site.Addr()
	}
	return addr, distant
}
