package listen_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"testing"

	"mpush/sdk/listen"
)

func TestCrowdCountsEachAddress(t *testing.T) {
	crowd := listen.NewCrowd(2, listen.Proxies{netip.MustParsePrefix("10.0.0.0/8")})
	for _, test := range []struct {
		addresses []string // enter in turn
		most      int      // of 6
	}{
		{[]string{"192.0.2.1"}, 2},
		{[]string{"192.0.2.1", "::ffff:192.0.2.1"}, 2},
		{[]string{"192.0.2.1", "192.0.2.2"}, 4},
		{[]string{"2001:db8:0:1::1", "2001:db8:0:1:ffff::1", "2001:db8:0:1::1%eth0"}, 2},
		{[]string{"2001:db8:0:1::1", "2001:db8:0:2::1"}, 4},
		{[]string{"127.0.0.1", "127.0.0.2", "::1"}, 6},
		{[]string{"10.1.2.3"}, 6}, // a proxy that does not say for whom it speaks
		{[]string{"", "@"}, 6},
	} {
		var leaves []func()
		for i := range 6 {
			if leave, ok := crowd.Enter(test.addresses[i%len(test.addresses)]); ok {
				leaves = append(leaves, leave)
			}
		}
		if len(leaves) != test.most {
			t.Errorf("%q: %d, want %d", test.addresses, len(leaves), test.most)
		}
		for _, leave := range leaves {
			leave()
		}
	}
}

func TestWhoLeavesMakesRoom(t *testing.T) {
	crowd := listen.NewCrowd(1, nil)
	for range 3 {
		leave, ok := crowd.Enter("192.0.2.1")
		if !ok {
			t.Fatal("no room")
		}
		if _, ok := crowd.Enter("192.0.2.1"); ok {
			t.Error("room for two")
		}
		leave()
	}
}

func TestNoLimitCountsNobody(t *testing.T) {
	for _, crowd := range []*listen.Crowd{nil, listen.NewCrowd(0, nil)} {
		for range 100 {
			leave, ok := crowd.Enter("192.0.2.1")
			if !ok {
				t.Fatal("refused")
			}
			leave()
		}
	}
}

// Whoever has connected directly was counted when he did.
func TestRequestsAreCountedBehindAProxyAlone(t *testing.T) {
	crowd := listen.NewCrowd(1, nil)
	enter := func(peer, client string) bool {
		_, ok := crowd.EnterRequest(&http.Request{RemoteAddr: peer}, client)
		return ok
	}
	for range 2 {
		if !enter("192.0.2.1:1234", "192.0.2.1") || !enter("[2001:db8::1]:1234", "2001:db8::1") {
			t.Error("a direct request is refused")
		}
	}
	if !enter("10.0.0.1:1234", "192.0.2.1") {
		t.Error("the first behind a proxy is refused")
	}
	if enter("10.0.0.1:1234", "192.0.2.1") {
		t.Error("the second is not")
	}
}

func TestCrowdIsSafeForConcurrentUse(t *testing.T) {
	crowd := listen.NewCrowd(5, nil)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 1000 {
				if leave, ok := crowd.Enter("192.0.2.1"); ok {
					leave()
				}
			}
		})
	}
	all.Wait()
	for range 5 {
		if _, ok := crowd.Enter("192.0.2.1"); !ok {
			t.Fatal("somebody has not left")
		}
	}
	if _, ok := crowd.Enter("192.0.2.1"); ok {
		t.Error("somebody has left twice")
	}
}

func TestConnectionsOfOneAddressAreBounded(t *testing.T) {
	crowd := listen.NewCrowd(2, nil)
	crowd.CountLoopback()
	address, conns := listener(t, listen.Options{
		MaxConnections: 10, Crowd: crowd, Crowded: listen.CrowdedHTTP("x.maxConnectionsPerAddress"),
	})
	dial(t, address)
	dial(t, address)
	first, second := <-conns, <-conns
	defer second.Close()
	response, err := http.ReadResponse(bufio.NewReader(dial(t, address)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != 429 || string(body) != `{"cmd":"INFO","data":"x.maxConnectionsPerAddress: too many connections from this address"}` {
		t.Errorf("got %d %s, %v", response.StatusCode, body, err)
	}
	first.Close()
	first.Close()
	dial(t, address)
	(<-conns).Close()
}

// A connection that is refused for the total does not count for its address.
func TestRefusedConnectionsAreNotCounted(t *testing.T) {
	crowd := listen.NewCrowd(2, nil)
	crowd.CountLoopback()
	address, conns := listener(t, listen.Options{MaxConnections: 1, Refusal: []byte("total"), Crowd: crowd, Crowded: []byte("address")})
	dial(t, address)
	first := <-conns
	for range 5 {
		if text, err := io.ReadAll(dial(t, address)); err != nil || string(text) != "total" {
			t.Fatalf("read %q, %v", text, err)
		}
	}
	first.Close()
	dial(t, address)
	(<-conns).Close()
}

func BenchmarkCrowd(b *testing.B) {
	crowd := listen.NewCrowd(5, listen.Proxies{netip.MustParsePrefix("127.0.0.0/8")})
	addresses := make([]string, 1000)
	for i := range addresses {
		addresses[i] = fmt.Sprintf("198.18.%d.%d", i>>8, i&255)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		leave, ok := crowd.Enter(addresses[i%len(addresses)])
		if !ok {
			b.Fatal("refused")
		}
		leave()
	}
}
