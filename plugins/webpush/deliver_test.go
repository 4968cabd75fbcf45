package webpush

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"mpush/sdk/dial"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
	"mpush/test/fakepush"
)

func newService(t *testing.T) *fakepush.Server { return fakepush.New(t, fakepush.Options{}) }

// trust makes the channel take the service's certificate.
func trust(p *plugin, service *fakepush.Server) {
	transport, ok := service.Client().Transport.(*http.Transport)
	if !ok || transport.TLSClientConfig == nil {
		return
	}
	roots := transport.TLSClientConfig.RootCAs
	p.transport = func(proxy dial.Proxy, check control) *dial.Transport {
		made := dial.NewTransport(proxy, check)
		made.TLSClientConfig = &tls.Config{RootCAs: roots}
		return made
	}
}

func TestAnswersDecideTheOutcome(t *testing.T) {
	after := map[string]string{"Retry-After": "120"}
	for _, row := range []struct {
		answer  fakepush.Answer
		kind    pluginpb.OutcomeKind
		afterMs uint32
		err     string
	}{
		{fakepush.Answer{Status: 200}, handedOff, 0, ""},
		{fakepush.Answer{Status: 201}, handedOff, 0, ""},
		{fakepush.Answer{Status: 202}, handedOff, 0, ""},
		{fakepush.Answer{Status: 204}, handedOff, 0, ""},
		{fakepush.Answer{Status: 404}, gone, 0, "status 404"},
		{fakepush.Answer{Status: 410, Body: `{"reason":"Unregistered"}`}, gone, 0, "status 410: reason Unregistered"},
		{fakepush.Answer{Status: 429, Header: after}, retry, 120000, "status 429"},
		{fakepush.Answer{Status: 503, Header: after}, retry, 120000, "status 503"},
		{fakepush.Answer{Status: 429}, retry, 0, "status 429"},
		{fakepush.Answer{Status: 500, Header: after}, retry, 0, "status 500"},
		{fakepush.Answer{Status: 400}, retry, 0, "status 400"},
		{fakepush.Answer{Status: 403, Body: `{"reason":"BadJwtToken"}`}, retry, 0, "status 403: reason BadJwtToken"},
		{fakepush.Answer{Status: 205}, retry, 0, "status 205"},
		{fakepush.Answer{Reset: true}, retry, 0, "connection closed before an answer"},
	} {
		c := start(t, "")
		c.subscribe("phone").Script(row.answer)
		got := c.expect(c.Deliver("phone", &pluginpb.Message{}), row.kind)
		if got.GetRetryAfterMs() != row.afterMs {
			t.Errorf("%d: after %d ms", row.answer.Status, got.GetRetryAfterMs())
		}
		if want := `push service "127.0.0.1": `; row.err != "" && (!strings.HasPrefix(got.GetError(), want) || !strings.HasSuffix(got.GetError(), row.err)) {
			t.Errorf("%d: %s", row.answer.Status, got.GetError())
		}
		c.service.Close()
		c.Stop()
	}
}

func TestFailedPushIsSentAgainWithTheSameMid(t *testing.T) {
	c := start(t, "")
	c.subscribe("phone").Script(fakepush.Answer{Status: 500})
	mid := c.Deliver("phone", &pluginpb.Message{Text: "again"})
	c.expect(mid, retry)
	c.Resend("phone", mid)
	c.expect(mid, handedOff)
	if first, second := c.service.Next(), c.service.Next(); string(first.Payload) != string(second.Payload) {
		t.Errorf("%s, then %s", first.Payload, second.Payload)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	c := start(t, "")
	elsewhere := c.service.Subscribe(c.key)
	for _, status := range []int{301, 302, 303, 307, 308} {
		c.subscribe("phone").Script(fakepush.Answer{Status: status, Header: map[string]string{"Location": elsewhere.Endpoint()}})
		got := c.expect(c.Deliver("phone", &pluginpb.Message{}), retry)
		if !strings.Contains(got.GetError(), fmt.Sprint("status ", status)) {
			t.Errorf("%d: %s", status, got.GetError())
		}
		if push := c.service.Next(); push.Subscription == elsewhere || len(c.service.Seen()) > 0 {
			t.Errorf("%d was followed", status)
		}
	}
}

func TestHangingPushServiceIsGivenUpAfterTheInterval(t *testing.T) {
	c := start(t, `"retryTimeout":100`)
	c.subscribe("phone").Script(fakepush.Answer{Until: make(chan struct{})})
	if got := c.expect(c.Deliver("phone", &pluginpb.Message{}), retry); !strings.HasSuffix(got.GetError(), "no answer in time") {
		t.Errorf("error %q", got.GetError())
	}
}

func TestRecalledPushIsBrokenOff(t *testing.T) {
	c := start(t, `"retryTimeout":60000`)
	logged := captureLogs(t)
	never := make(chan struct{})
	c.subscribe("phone").Script(fakepush.Answer{Until: never})
	mid := c.Deliver("phone", &pluginpb.Message{})
	c.service.Next()
	c.Recall("phone", mid)
	// The receiver's next message waits for the end of the call.
	next := c.Deliver("phone", &pluginpb.Message{})
	c.expect(next, handedOff)
	if strings.Contains(logged.String(), "push failed") {
		t.Errorf("log: %s", logged)
	}
}

func TestHangingSubscriptionDelaysNobodyElse(t *testing.T) {
	c := start(t, `"retryTimeout":60000`)
	release := make(chan struct{})
	defer close(release)
	c.subscribe("slow").Script(fakepush.Answer{Until: release})
	c.subscribe("phone")
	c.Deliver("slow", &pluginpb.Message{})
	c.service.Next()
	for range 3 {
		c.expect(c.Deliver("phone", &pluginpb.Message{}), handedOff)
	}
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	c := start(t, "")
	phone := c.subscribe("phone")
	remotes := make(map[string]bool)
	const deliveries = 8
	for i := range deliveries {
		phone.Script(fakepush.Answer{Status: []int{201, 500}[i%2], Body: strings.Repeat("x", 1000)})
		mid := c.Deliver("phone", &pluginpb.Message{})
		c.Await(func(e *pluginpb.PluginEnvelope) bool { return e.GetOutcome().GetMid() == mid })
		remotes[c.service.Next().Remote] = true
	}
	if len(remotes) == deliveries { // net/http gives one up that is held for 50 ms after its answer
		t.Errorf("%d connections", len(remotes))
	}
}

// An endpoint is a capability, and answers may say anything.
func TestNothingSecretIsLoggedOrReported(t *testing.T) {
	logged := captureLogs(t)
	c := start(t, "")
	phone := c.subscribe("phone")
	kept := pair{}
	if value := c.State()[stateKey]; value != nil {
		kept, _ = parsePair(value)
	}
	token := strings.Repeat("eyJhbGciOiJFUzI1NiJ9", 3)
	phone.Script(fakepush.Answer{Status: 403, Body: "bad token " + token}, fakepush.Answer{Status: 400, Body: "no such " + phone.Endpoint()}, fakepush.Answer{Reset: true})
	var errs []string
	for range 3 {
		errs = append(errs, c.expect(c.Deliver("phone", &pluginpb.Message{Text: "the text", Desp: "the desp"}), retry).GetError())
	}
	c.service.Close()
	errs = append(errs, c.expect(c.Deliver("phone", &pluginpb.Message{Text: "the text"}), retry).GetError())
	u, err := url.Parse(phone.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	said := logged.String() + strings.Join(errs, "\n")
	for _, secret := range []string{u.Path, token, phone.Auth(), phone.P256dh(), kept.Private, "the text", "the desp"} {
		if secret == "" || strings.Contains(said, secret) {
			t.Errorf("%q is in\n%s", secret, said)
		}
	}
	if !strings.Contains(errs[0], "status 403: bad token …") || !strings.Contains(said, "receiver=phone") {
		t.Errorf("said\n%s", said)
	}
}

// A name may stand for another address by the time that it is dialed.
func TestRebindingIsRefusedAtTheDial(t *testing.T) {
	service := fakepush.New(t, fakepush.Options{TLS: true})
	p := New().(*plugin)
	p.resolver = names{"push.example.com": {"93.184.216.34"}}
	dialed := make(chan string, 8)
	p.transport = func(proxy dial.Proxy, check control) *dial.Transport {
		made := dial.NewTransport(proxy, nil)
		made.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			dialed <- address
			rebound := net.Dialer{Control: check}
			return rebound.DialContext(ctx, network, strings.TrimPrefix(service.Origin(), "https://"))
		}
		return made
	}
	core := plugintest.Start(t, p, plugintest.Options{})
	c := &channel{Core: core, t: t, service: service, key: announcedKey(t, core)}
	data := strings.Replace(service.Subscribe(c.key).JSON(), service.Origin(), "https://push.example.com", 1)
	if reply := c.Command(cmdRegister, "phone", "", data); reply.GetError() != nil {
		t.Fatalf("register: %v", reply)
	}
	got := c.expect(c.Deliver("phone", &pluginpb.Message{}), retry)
	if !strings.HasPrefix(got.GetError(), `push service "push.example.com": `) || !strings.Contains(got.GetError(), "127.0.0.1 is not a public address: loopback") {
		t.Errorf("error %q", got.GetError())
	}
	if to := <-dialed; to != "push.example.com:443" || len(service.Seen()) > 0 {
		t.Errorf("dialed %s", to)
	}
}

// What is registered stays when the operator takes back what was allowed; it is
// not called.
func TestEndpointThatIsNoLongerAllowedIsNotCalled(t *testing.T) {
	c := start(t, "")
	c.subscribe("phone")
	address := registrations(c.Core)[0].GetAddress()
	c.Stop()
	core := plugintest.Start(t, New(), plugintest.Options{})
	deliver := func(address []byte) *pluginpb.Outcome {
		core.Send(&pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Deliver{Deliver: &pluginpb.Deliver{
			Message: &pluginpb.Message{Mid: 7, Target: "phone", FromMethod: "http"},
			Routes:  []*pluginpb.DeliverRoute{{Receiver: "phone", Generation: 9, Address: address, IntervalMs: 5000}},
		}}})
		return core.Outcome()
	}
	if got := deliver(address); got.GetKind() != retry || !strings.HasSuffix(got.GetError(), "expected an https url") {
		t.Errorf("outcome %v", got)
	}
	if len(c.service.Seen()) > 0 {
		t.Error("it was called")
	}
	if got := deliver([]byte("{")); got.GetKind() != gone {
		t.Errorf("a broken address: %v", got)
	}
}

// A proxy resolves names, and may itself be on loopback.
func TestPushesGoThroughTheProxy(t *testing.T) {
	asked := make(chan string, 1)
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.Host
		w.WriteHeader(http.StatusBadGateway)
	})
	p := New().(*plugin)
	p.resolver = failing{t}
	core := plugintest.Start(t, p, plugintest.Options{Config: fmt.Sprintf(`{"proxy":%q}`, proxy)})
	c := &channel{Core: core, t: t, key: announcedKey(t, core), service: newService(t)}
	data := strings.Replace(c.service.Subscribe(c.key).JSON(), c.service.Origin(), "https://push.example.com", 1)
	if reply := c.Command(cmdRegister, "phone", "", data); reply.GetError() != nil {
		t.Fatalf("register: %v", reply)
	}
	c.expect(c.Deliver("phone", &pluginpb.Message{}), retry)
	if got := <-asked; got != "CONNECT push.example.com:443" {
		t.Errorf("the proxy was asked to %s", got)
	}
}

// failing is for tests in which nothing may be looked up.
type failing struct{ t *testing.T }

func (f failing) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	f.t.Errorf("%s was looked up", host)
	return nil, errors.New("no")
}

// serve runs a server on loopback and returns its url.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	return "http://" + listener.Addr().String()
}
