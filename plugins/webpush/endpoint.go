package webpush

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mpush/sdk/dial"
)

// control sees the addresses that are dialed; see net.Dialer.
type control = func(network, address string, c syscall.RawConn) error

// resolver is the part of net.Resolver that is needed here.
type resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// door decides which endpoints are called. A client chooses its endpoint, so
// one that is not allowed by name must be an https url of a public host. What a
// name stands for is looked up here to tell the client at once; it counts when
// it is dialed.
type door struct {
	allowed  map[string]bool // by origin
	proxied  bool            // a proxy resolves names
	resolver resolver
	lookups  chan struct{} // one token per running lookup
}

const (
	maxEndpointBytes = 2 << 10
	lookupTime       = 3 * time.Second
	// maxLookups is a part of the commands that the sdk answers at once: lookups
	// may all hang for as long as they may take, and the others have to go on.
	maxLookups = 16
)

// parseEndpoint reads an endpoint as a client names it. In the result scheme
// and host are in lower case and the port is left out where it is the default:
// the audience of VAPID is its origin.
func parseEndpoint(text string) (*url.URL, error) {
	if len(text) > maxEndpointBytes {
		return nil, fmt.Errorf("longer than %d bytes", maxEndpointBytes)
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("expected an https url")
	case u.User != nil:
		return nil, errors.New("a user name in the url is not allowed")
	case !isHost(u.Hostname()):
		return nil, errors.New("the host is not a name or an address")
	case !isPort(u.Port()) || strings.HasSuffix(u.Host, ":"):
		return nil, errors.New("expected a port from 1 to 65535")
	}
	u.Host = strings.TrimPrefix(originOf(u), u.Scheme+"://")
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// parseOrigin reads an origin as the operator names it.
func parseOrigin(text string) (string, error) {
	u, err := parseEndpoint(text)
	_, rest, _ := strings.Cut(text, "://")
	if err != nil || strings.ContainsAny(rest, "/?#") {
		return "", errors.New(`expected an origin and nothing after it, such as "https://push.example.com:8443"`)
	}
	return originOf(u), nil
}

// originOf returns the origin of a url in one spelling (RFC 6454, section 6.2).
func originOf(u *url.URL) string {
	host := strings.ToLower(u.Hostname())
	if addr, err := netip.ParseAddr(host); err == nil && addr.Is6() {
		host = "[" + addr.String() + "]"
	}
	if port := u.Port(); port != "" && !(u.Scheme == "https" && port == "443") && !(u.Scheme == "http" && port == "80") {
		host += ":" + port
	}
	return u.Scheme + "://" + host
}

// isHost takes what a browser makes of a host: other scripts are in punycode.
func isHost(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Zone() == "" // it means something on this machine alone
	}
	return strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
}

func isPort(text string) bool {
	if text == "" {
		return true
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// isAllowed tells whether the operator has named the endpoint's origin.
func (d door) isAllowed(u *url.URL) bool { return d.allowed[originOf(u)] }

// check judges an endpoint by what it says, without looking anything up.
func (d door) check(u *url.URL) error {
	if d.isAllowed(u) {
		return nil
	}
	if u.Scheme != "https" {
		return errors.New("expected an https url")
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if addr, err := netip.ParseAddr(host); err == nil {
		return dial.Public(addr)
	}
	labels := strings.Split(host, ".")
	last := labels[len(labels)-1]
	switch {
	case slices.Contains(labels, ""):
		return errors.New("the host is not a name or an address")
	case isNumber(last):
		// Some resolvers and proxies take 2130706433 or 0x7f.1 for addresses.
		return errors.New("the host's address is not written in the usual way")
	case len(labels) == 1, isLocal(last), strings.HasSuffix(host, ".home.arpa"):
		return fmt.Errorf("%q is not a public host", host)
	}
	return nil
}

// isNumber tells whether a name that ends in this label is an address to some
// (as in the URL standard, "ends in a number").
func isNumber(label string) bool {
	if strings.Trim(label, "0123456789") == "" {
		return true
	}
	digits, hex := strings.CutPrefix(label, "0x")
	return hex && strings.Trim(digits, "0123456789abcdef") == ""
}

// isLocal tells of top-level domains that no public host is in (RFC 6761, RFC
// 6762, and ICANN's reservation of internal).
func isLocal(label string) bool {
	return slices.Contains([]string{"localhost", "local", "internal"}, label)
}

// admit is check, and looks up what a name stands for, unless that is a proxy's
// business. A name that cannot be looked up, or not now, is let in.
func (d door) admit(ctx context.Context, u *url.URL) error {
	if err := d.check(u); err != nil {
		return err
	}
	host := u.Hostname()
	if _, err := netip.ParseAddr(host); err == nil || d.proxied || d.isAllowed(u) {
		return nil
	}
	select {
	case d.lookups <- struct{}{}:
		defer func() { <-d.lookups }()
	default:
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	addrs, err := d.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil
	}
	for _, addr := range addrs {
		if dial.Public(addr) != nil {
			return fmt.Errorf("%q has an address that is not public", host) // not which: it is nobody's business
		}
	}
	return nil
}
