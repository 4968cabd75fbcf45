package listen_test

import (
	"net/http"
	"net/netip"
	"testing"

	"mpush/sdk/listen"
)

func TestClientIsTheLastAddressThatIsNoTrustedProxy(t *testing.T) {
	trusted := listen.Proxies{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, test := range []struct {
		peer      string
		forwarded []string
		want      string
	}{
		{"192.0.2.1:5", nil, "192.0.2.1"},
		{"[2001:db8::1]:5", nil, "2001:db8::1"},
		{"192.0.2.1:5", []string{"198.51.100.7"}, "192.0.2.1"},
		{"127.0.0.1:5", []string{"198.51.100.7"}, "198.51.100.7"},
		{"127.0.0.1:5", []string{"6.6.6.6, 198.51.100.7, 10.1.2.3"}, "198.51.100.7"},
		{"127.0.0.1:5", []string{"6.6.6.6", "198.51.100.7"}, "198.51.100.7"},
		{"127.0.0.1:5", []string{"10.0.0.1"}, "10.0.0.1"},
		{"127.0.0.1:5", []string{"198.51.100.7, nonsense"}, "127.0.0.1"},
		{"127.0.0.1:5", []string{"198.51.100.7,"}, "127.0.0.1"},
		{"127.0.0.1:5", []string{""}, "127.0.0.1"},
		{"127.0.0.1:5", []string{"\xff\x00, [, :, ]:5"}, "127.0.0.1"},
		{"127.0.0.1:5", []string{"2001:db8::2"}, "2001:db8::2"},
		{"127.0.0.1:5", []string{"198.51.100.7:443"}, "198.51.100.7"},
		{"127.0.0.1:5", []string{"[2001:db8::2]:443, [fd00::1]"}, "2001:db8::2"},
		{"[::ffff:127.0.0.1]:5", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		{"[fd00::1%eth0]:5", []string{"198.51.100.7"}, "198.51.100.7"},
		{"@", []string{"198.51.100.7"}, "@"},
		{"", nil, ""},
	} {
		r := &http.Request{RemoteAddr: test.peer, Header: http.Header{}}
		for _, line := range test.forwarded {
			r.Header.Add("X-Forwarded-For", line)
		}
		if got := trusted.Client(r); got != test.want {
			t.Errorf("%s %q: got %s, want %s", test.peer, test.forwarded, got, test.want)
		}
	}
}

func TestNobodyIsTrustedWithoutProxies(t *testing.T) {
	r := &http.Request{RemoteAddr: "127.0.0.1:5", Header: http.Header{"X-Forwarded-For": {"198.51.100.7"}}}
	if got := (listen.Proxies)(nil).Client(r); got != "127.0.0.1" {
		t.Errorf("got %s", got)
	}
}
