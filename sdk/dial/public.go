package dial

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// special are the blocks of the IANA special-purpose address registries (RFC
// 6890 and what has been added since), the addresses that are no unicast, and
// those by which a host's provider speaks to it. The first that fits names the
// reason. What a registry calls globally reachable inside of a block that is not
// is refused with it: nobody runs a public web server there.
func special() []block {
	return []block{
		{"0.0.0.0/32", "unspecified"},
		{"0.0.0.0/8", "this network"},
		{"10.0.0.0/8", "private"},
		{"100.100.100.200/32", "a provider's metadata service"},
		{"100.64.0.0/10", "shared by a provider's customers"}, // RFC 6598
		{"127.0.0.0/8", "loopback"},
		{"168.63.129.16/32", "a provider's metadata service"},
		{"169.254.169.254/32", "a provider's metadata service"},
		{"169.254.0.0/16", "link-local"},
		{"172.16.0.0/12", "private"},
		{"192.0.0.192/32", "a provider's metadata service"},
		{"192.0.0.0/24", "protocol assignments"},
		{"192.0.2.0/24", "documentation"},
		{"192.88.99.0/24", "6to4 relays"}, // RFC 7526
		{"192.168.0.0/16", "private"},
		{"198.18.0.0/15", "benchmarking"},
		{"198.51.100.0/24", "documentation"},
		{"203.0.113.0/24", "documentation"},
		{"224.0.0.0/4", "multicast"},
		{"255.255.255.255/32", "broadcast"},
		{"240.0.0.0/4", "reserved"},

		{"::/128", "unspecified"},
		{"::1/128", "loopback"},
		{"::/96", "IPv4-compatible"},
		{"64:ff9b:1::/48", "local translation to IPv4"}, // RFC 8215
		{"100::/64", "discard-only"},
		{"100:0:0:1::/64", "dummy"}, // RFC 9780
		{"2001::/32", "Teredo"},
		{"2001:2::/48", "benchmarking"},
		{"2001:10::/28", "ORCHID"},
		{"2001:20::/28", "ORCHID"},
		{"2001::/23", "protocol assignments"},
		{"2001:db8::/32", "documentation"},
		{"2002::/16", "6to4"},
		{"3fff::/20", "documentation"},   // RFC 9637
		{"5f00::/16", "segment routing"}, // RFC 9602
		{"fd00:ec2::/32", "a provider's metadata service"},
		{"fd20:ce::254/128", "a provider's metadata service"},
		{"fc00::/7", "unique local"},
		{"fe80::/10", "link-local"},
		{"fec0::/10", "site-local"}, // RFC 3879
		{"ff00::/8", "multicast"},
	}
}

type block struct{ prefix, why string }

const (
	// translated is where a network that speaks IPv6 alone has all of IPv4 (RFC
	// 6052): each of these addresses is as public as the one within.
	translated = "64:ff9b::/96"
	// unicast is all of IPv6 that is assigned to hosts on the internet.
	unicast = "2000::/3"
)

// Public returns nil for the address of a host on the internet, else an error
// that tells why it is none. An IPv4 address that is mapped into IPv6, or
// translated by the well-known prefix of NAT64, is judged by itself; other
// addresses that hold one are refused. Zones are ignored.
func Public(addr netip.Addr) error {
	if !addr.IsValid() {
		return errors.New("not an address")
	}
	judged := addr.Unmap().WithZone("")
	if netip.MustParsePrefix(translated).Contains(judged) {
		b := judged.As16()
		judged = netip.AddrFrom4([4]byte(b[12:]))
	}
	for _, s := range special() {
		if netip.MustParsePrefix(s.prefix).Contains(judged) {
			return fmt.Errorf("%s is not a public address: %s", addr, s.why)
		}
	}
	if judged.Is6() && !netip.MustParsePrefix(unicast).Contains(judged) {
		return fmt.Errorf("%s is not a public address: reserved", addr)
	}
	return nil
}

// PublicOnly refuses to connect to an address that is not public. As the control
// of a Transport it sees what a name was resolved to, at the moment of use, so
// that no answer of a DNS server gets past it.
func PublicOnly(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%q is not an address", address)
	}
	return Public(to.Addr())
}
