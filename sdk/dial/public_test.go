package dial_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"mpush/sdk/dial"
)

func TestPublicAddresses(t *testing.T) {
	for _, address := range []string{
		// The neighbours of the blocks that are not.
		"1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
		"168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
		"191.255.255.255", "192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0",
		"198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255",
		"8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
		"2000::", "2001:200::", "2001:db7:ffff::", "2001:db9::", "2003::", "2606:4700::1111", "2a00:1450::1%eth0",
		"3ffe:ffff::", "3fff:1000::",
	} {
		if err := dial.Public(netip.MustParseAddr(address)); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestAddressesThatAreNotPublicAreRefusedWithTheReason(t *testing.T) {
	for why, addresses := range map[string][]string{
		"unspecified":  {"0.0.0.0", "::", "::ffff:0.0.0.0", "64:ff9b::"},
		"this network": {"0.0.0.1", "0.255.255.255"},
		"private": {
			"10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255",
			"::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "64:ff9b::c0a8:1",
		},
		"shared by a provider's customers": {"100.64.0.0", "100.127.255.255"},
		"loopback":                         {"127.0.0.0", "127.255.255.255", "::1", "::1%lo", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1"},
		"a provider's metadata service": {
			"169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254",
			"::ffff:169.254.169.254", "64:ff9b::169.254.169.254",
		},
		"link-local":                {"169.254.0.0", "169.254.169.253", "169.254.255.255", "fe80::1", "fe80::1%eth0", "febf:ffff::"},
		"protocol assignments":      {"192.0.0.0", "192.0.0.9", "192.0.0.255", "2001:1::1", "2001:30::1", "2001:1ff:ffff::"},
		"documentation":             {"192.0.2.0", "198.51.100.255", "203.0.113.7", "2001:db8::", "2001:db8:ffff::1", "3fff::", "3fff:fff:ffff::"},
		"6to4 relays":               {"192.88.99.1"},
		"benchmarking":              {"198.18.0.0", "198.19.255.255", "2001:2::1", "2001:2:0:ffff::"},
		"multicast":                 {"224.0.0.0", "239.255.255.255", "ff00::", "ff02::1%eth0", "ffff::"},
		"reserved":                  {"240.0.0.0", "255.255.255.254", "::1:0:0", "64:ff9a::1", "64:ff9b:2::", "100:1::", "1fff:ffff::", "4000::", "fbff::", "fe00::"},
		"broadcast":                 {"255.255.255.255"},
		"IPv4-compatible":           {"::2", "::8.8.8.8", "::127.0.0.1"},
		"local translation to IPv4": {"64:ff9b:1::8.8.8.8", "64:ff9b:1:ffff::"},
		"discard-only":              {"100::", "100::ffff:ffff:ffff:ffff"},
		"dummy":                     {"100:0:0:1::1"},
		"Teredo":                    {"2001::1", "2001:0:ffff::"},
		"ORCHID":                    {"2001:10::", "2001:1f:ffff::", "2001:20::", "2001:2f:ffff::"},
		"6to4":                      {"2002::", "2002:808:808::1", "2002:7f00:1::", "2002:ffff::"},
		"segment routing":           {"5f00::", "5f00:ffff::"},
		"unique local":              {"fc00::", "fd00::1", "fdff:ffff::"},
		"site-local":                {"fec0::", "feff:ffff::"},
	} {
		for _, address := range addresses {
			err := dial.Public(netip.MustParseAddr(address))
			if want := netip.MustParseAddr(address).String() + " is not a public address: " + why; err == nil || err.Error() != want {
				t.Errorf("%s: %v\nwant %s", address, err, want)
			}
		}
	}
	if err := dial.Public(netip.Addr{}); err == nil {
		t.Error("the zero address is public")
	}
}

func TestPublicOnlyJudgesWhatIsDialed(t *testing.T) {
	for address, ok := range map[string]bool{
		"8.8.8.8:443": true, "[2606:4700::1111]:443": true,
		"127.0.0.1:443": false, "[::1]:443": false, "[fe80::1%eth0]:443": false, "[::ffff:10.0.0.1]:1": false,
		"dns.example:443": false, "8.8.8.8": false, "": false,
	} {
		if err := dial.PublicOnly("tcp", address, nil); (err == nil) != ok {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// A name is judged by what it resolves to, when it is used.
func TestPublicOnlyEndsAConnectionBeforeItIsMade(t *testing.T) {
	called := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	defer server.Close()
	transport := dial.NewTransport(dial.Proxy{}, dial.PublicOnly)
	defer transport.CloseIdleConnections()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+":"+port, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := transport.RoundTrip(request)
		if err == nil {
			answer.Body.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "is not a public address: loopback") || errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", host, err)
		}
	}
	if called {
		t.Error("the server was reached")
	}
}
