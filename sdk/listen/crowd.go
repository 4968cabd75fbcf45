package listen

import (
	"net/http"
	"net/netip"
	"sync"
)

// Crowd counts what each client's address has open, so that one can not take all
// the room. IPv6 addresses are counted by their first 64 bits: the rest is the
// client's to choose. What comes from this machine, from a trusted proxy that
// does not say for whom it speaks, or from no address is not counted. Safe for
// concurrent use; a nil Crowd counts nobody.
type Crowd struct {
	most     int
	proxies  Proxies
	loopback bool // is counted, too: for tests, which come from nowhere else

	mu   sync.Mutex
	open map[netip.Addr]int
}

// NewCrowd lets each address have so many open; 0 or less is no limit.
func NewCrowd(most int, proxies Proxies) *Crowd {
	if most <= 0 {
		return nil
	}
	return &Crowd{most: most, proxies: proxies, open: make(map[netip.Addr]int)}
}

// Enter counts one more of an address, which is without port. leave takes it
// back; it must be called once. ok is false, and leave nil, if that would be too
// many.
func (c *Crowd) Enter(address string) (leave func(), ok bool) {
	if c == nil {
		return func() {}, true
	}
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return func() {}, true
	}
	return c.enter(addr)
}

// EnterRequest is Enter for a request whose client, as Proxies.Client tells, is
// behind a proxy. For others there is nothing to count: their connection was.
func (c *Crowd) EnterRequest(r *http.Request, client string) (leave func(), ok bool) {
	if client == host(r.RemoteAddr) {
		return func() {}, true
	}
	return c.Enter(client)
}

func (c *Crowd) enter(addr netip.Addr) (leave func(), ok bool) {
	addr = addr.Unmap().WithZone("")
	if c == nil || !addr.IsValid() || addr.IsLoopback() && !c.loopback || c.proxies.contain(addr) {
		return func() {}, true
	}
	if addr.Is6() {
		const site = 64 // bits
		prefix, err := addr.Prefix(site)
		if err != nil {
			return func() {}, true
		}
		addr = prefix.Addr()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[addr] >= c.most {
		return nil, false
	}
	c.open[addr]++
	return func() { c.leave(addr) }, true
}

func (c *Crowd) leave(addr netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[addr]--; c.open[addr] == 0 {
		delete(c.open, addr)
	}
}
