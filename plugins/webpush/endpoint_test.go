package webpush

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// names is a resolver that knows a few.
type names map[string][]string

func (n names) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if _, ok := ctx.Deadline(); !ok || network != "ip" {
		return nil, errors.New("asked without a deadline, or for less than all")
	}
	var addrs []netip.Addr
	for _, text := range n[host] {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	if addrs == nil {
		return nil, errors.New("no such host")
	}
	return addrs, nil
}

func testDoor() door {
	return door{
		allowed: map[string]bool{"http://127.0.0.1:8080": true, "https://nas.local": true, "https://[::1]:99": true},
		resolver: names{
			"push.example.com":   {"93.184.216.34", "2606:2800:220:1::1"},
			"inside.example.com": {"10.0.0.7"},
			"mixed.example.com":  {"93.184.216.34", "127.0.0.1"},
			"mapped.example.com": {"::ffff:192.168.1.1"},
			"v6.example.com":     {"fd00::1"},
		},
		lookups: make(chan struct{}, maxLookups),
	}
}

func admit(t *testing.T, d door, endpoint string) (string, error) {
	t.Helper()
	u, err := parseEndpoint(endpoint)
	if err != nil {
		return "", err
	}
	return u.String(), d.admit(t.Context(), u)
}

func TestEndpointsThatAreAdmitted(t *testing.T) {
	for endpoint, want := range map[string]string{
		"https://push.example.com/a/b?c=d":           "",
		"https://push.example.com":                   "",
		"https://push.example.com:8443/x%2Fy":        "",
		"HTTPS://Push.Example.COM:443/Abc#fragment":  "https://push.example.com/Abc",
		"https://unknown.example.com/x":              "", // the lookup fails
		"https://93.184.216.34/x":                    "",
		"https://[2606:2800:220:1::1]/x":             "",
		"https://[2606:2800:220:1:0:0:0:1]:443/x":    "https://[2606:2800:220:1::1]/x",
		"https://xn--bcher-kva.example/x":            "",
		"https://wns2.notify.windows.com/w/?token=a": "",
		"http://127.0.0.1:8080/x":                    "", // the rest is allowed
		"https://nas.local:443/x":                    "https://nas.local/x",
		"https://[0:0::1]:99/x":                      "https://[::1]:99/x",
	} {
		if want == "" {
			want = endpoint
		}
		if got, err := admit(t, testDoor(), endpoint); err != nil || got != want {
			t.Errorf("%s: %q, %v", endpoint, got, err)
		}
	}
}

func TestEndpointsThatAreRefused(t *testing.T) {
	for endpoint, want := range map[string]string{
		"":                                     "expected an https url",
		"x":                                    "expected an https url",
		"/push/x":                              "expected an https url",
		"//push.example.com/x":                 "expected an https url",
		"https:///x":                           "expected an https url",
		"https:push.example.com":               "expected an https url",
		"ftp://push.example.com/x":             "expected an https url",
		"http://push.example.com/x":            "expected an https url",
		"http://127.0.0.1:8081/x":              "expected an https url",
		"https://push.example.com/\n":          "expected an https url",
		"https://push.example.com/%zz":         "expected an https url",
		"https://u@push.example.com/x":         "user name",
		"https://u:p@push.example.com/x":       "user name",
		"https://push.example.com:0/x":         "port",
		"https://push.example.com:65536/x":     "port",
		"https://push.example.com:/x":          "port",
		"https://push.example.com:x/x":         "expected an https url",
		"https://push..example.com/x":          "not a name or an address",
		"https://bücher.example/x":             "not a name or an address",
		"https://１２７.0.0.1/x":                  "not a name or an address",
		"https://127。0。0。1/x":                  "not a name or an address",
		"https://a,b.example.com/x":            "not a name or an address",
		"https://[fe80::1%25eth0]/x":           "not a name or an address",
		"https://" + strings.Repeat("a", 2048): "longer than 2048 bytes",

		"https://127.0.0.1/x":              "loopback",
		"https://127.0.0.1:8080/x":         "loopback", // http is allowed there, https is another origin
		"https://127.0.0.1./x":             "loopback",
		"https://[127.0.0.1]/x":            "expected an https url",
		"https://10.1.2.3/x":               "private",
		"https://172.16.0.1/x":             "private",
		"https://192.168.1.1/x":            "private",
		"https://169.254.169.254/x":        "metadata",
		"https://100.64.0.1/x":             "not a public address",
		"https://0.0.0.0/x":                "unspecified",
		"https://224.0.0.1/x":              "multicast",
		"https://255.255.255.255/x":        "broadcast",
		"https://[::1]/x":                  "loopback",
		"https://[::]/x":                   "unspecified",
		"https://[::ffff:127.0.0.1]/x":     "loopback",
		"https://[::ffff:7f00:1]/x":        "loopback",
		"https://[64:ff9b::10.0.0.1]/x":    "private",
		"https://[::127.0.0.1]/x":          "not a public address",
		"https://[fe80::1]/x":              "link-local",
		"https://[fd00:ec2::254]/x":        "metadata",
		"https://2130706433/x":             "not written in the usual way",
		"https://0x7f000001/x":             "not written in the usual way",
		"https://0X7F.1/x":                 "not written in the usual way",
		"https://127.1/x":                  "not written in the usual way",
		"https://0177.0.0.1/x":             "not written in the usual way",
		"https://017700000001/x":           "not written in the usual way",
		"https://127.0.0.0x1/x":            "not written in the usual way",
		"https://127.0.0.0x/x":             "not written in the usual way",
		"https://1.2.3.4.5/x":              "not written in the usual way",
		"https://localhost/x":              "not a public host",
		"https://LOCALHOST./x":             "not a public host",
		"https://a.localhost/x":            "not a public host",
		"https://printer.local/x":          "not a public host",
		"https://nas.local:444/x":          "not a public host",
		"https://metadata.google.internal": "not a public host",
		"https://router.home.arpa/x":       "not a public host",
		"https://intranet/x":               "not a public host",

		"https://inside.example.com/x": "has an address that is not public",
		"https://mixed.example.com/x":  "has an address that is not public",
		"https://mapped.example.com/x": "has an address that is not public",
		"https://v6.example.com/x":     "has an address that is not public",
	} {
		got, err := admit(t, testDoor(), endpoint)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v", endpoint, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "10.0.0.7") {
			t.Errorf("%s: it tells what the name stands for: %v", endpoint, err)
		}
	}
}

// Names are the proxy's business, literal addresses are not.
func TestWithAProxyLiteralsAlone(t *testing.T) {
	d := testDoor()
	d.proxied = true
	for endpoint, refused := range map[string]bool{
		"https://inside.example.com/x": false,
		"https://push.example.com/x":   false,
		"https://10.1.2.3/x":           true,
		"https://[::1]/x":              true,
		"https://2130706433/x":         true,
		"https://localhost/x":          true,
		"http://push.example.com/x":    true,
	} {
		if _, err := admit(t, d, endpoint); (err != nil) != refused {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
}
