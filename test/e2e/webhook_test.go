package e2e

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mpush/test/harness"
)

func TestWebhookClient(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	relay := harness.Start(t, harness.Object{"webhook": hooks(3000, harness.Object{
		"name": "wh1", "group": "group2", "url": e.server.URL + "/hook?key=1", "method": "GET",
	})})
	t.Run("IsAskedWithGETAndItsAnswerIsTheAck", func(t *testing.T) { showItIsAskedWithGET(t, relay, e) })
	t.Run("NameIsRefusedToSockets", func(t *testing.T) { showItsNameIsRefused(t, relay) })
}

func showItIsAskedWithGET(t *testing.T, relay *harness.Relay, e *endpoint) {
	answer := relay.Begin(t, get("/wh1.send?text=text10&desp=desp10&a=233&b=%7B%22hello%22:%22world%22%7D"))
	h := e.next()
	mid := answer().ExpectStatuses(t, statuses{"wh1": "ok"})
	query, err := url.ParseQuery(h.query)
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"key": {"1"}, "sendType": {"personal"}, "target": {"wh1"}, "fromMethod": {"http"}, "fromName": {""},
		"mid": {mid}, "text": {"text10"}, "desp": {"desp10"}, "a": {"233"}, "b": {`{"hello":"world"}`},
	}
	if h.method != "GET" || h.path != "/hook" || query.Encode() != want.Encode() || h.token != relay.Token {
		t.Errorf("%s %s with the token %q:\n got %s\nwant %s", h.method, h.path, h.token, query.Encode(), want.Encode())
	}
	relay.Get(t, "/group2.group?text=all").ExpectStatuses(t, statuses{"wh1": "ok"})
}

// "Anything else, a timeout or a refused connection: status `wait`, sent again
// after `retryTimeout`. Order is kept: the next message waits for the one in
// flight."
func TestWebhookThatFailsInManyWaysGetsAllMessagesInOrder(t *testing.T) {
	t.Parallel()
	e, elsewhere := newEndpoint(t), newEndpoint(t)
	config := hooks(300, e.client("wh1"))
	config["timeout"] = 5000 // one way is to wait for it
	relay := harness.Start(t, harness.Object{"http": harness.Object{"waitTimeout": 500}, "webhook": config})
	never := make(chan struct{})
	defer close(never)
	ways := []answer{
		{status: 500}, {reset: true}, {until: never},
		{status: 302, location: elsewhere.server.URL}, // of a POST: a failure
		{status: 307, location: elsewhere.server.URL + "/moved"},
	}
	e.then(ways...)
	relay.Get(t, "/wh1.send?text=one").ExpectStatuses(t, statuses{"wh1": "wait"})
	second := relay.Do(t, atOnce("/wh1.send?text=two")).ExpectStatuses(t, statuses{"wh1": "ready"})
	first := ""
	for i := range ways {
		h := e.next()
		mid := h.mid(t, "one")
		if first == "" {
			first = mid
		}
		if mid != first || h.method != "POST" || h.path != "/wh1" || h.token != relay.Token {
			t.Errorf("attempt %d: %s %s, mid %s after %s, token %q", i, h.method, h.path, mid, first, h.token)
		}
	}
	moved := elsewhere.next()
	if moved.mid(t, "one") != first || moved.path != "/moved" || moved.token != "" {
		t.Errorf("the redirect led to %s with the token %q", moved.path, moved.token)
	}
	if got := e.next().mid(t, "two"); got != second {
		t.Errorf("mid %s, expected %s", got, second)
	}
	third := queue(t, relay, "wh1", "three")[0]
	e.next().mid(t, "three")
	eventually(t, "the third is ok", func() bool { return statusNow(t, relay, third)["wh1"] == "ok" })
	e.none()
	elsewhere.none()
	relay.WaitLog(t, "level=WARN", "delivery failed", "wh1", "500")
	relay.WaitLog(t, "level=INFO", "deliveries succeed again", "wh1")
}

// "A name held by another kind of exclusive channel: 403".
func showItsNameIsRefused(t *testing.T, relay *harness.Relay) {
	phone := relay.Dial(t)
	phone.Send(t, harness.AuthPacket(relay.Token, "wh1", ""))
	phone.Expect(t, `{"cmd":"AUTH","data":{"code":403,"msg":"The name [wh1] is already used"}}`)
	relay.PostJSON(t, "/", harness.AuthPacket(relay.Token, "wh1", "")).
		Expect(t, 403, `{"cmd":"AUTH","data":{"code":403,"msg":"The name [wh1] is already used"}}`)
	phone.Auth(t, relay.Token, "phone", "")
	nothingMore(t, relay, phone)
}

// "accepted" holds for webhooks, too: the queue survives kill -9 of the core.
func TestWebhookGetsWhatWasAcceptedBeforeACrash(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	relay := harness.Start(t, harness.Object{"webhook": hooks(200, e.client("wh1"))})
	e.from(answer{status: 500})
	mids := queue(t, relay, "wh1", "one", "two", "three")
	e.next()
	relay.Kill(t)
	e.from(answer{})
	relay.Start(t)
	for i, text := range []string{"one", "two", "three"} {
		h := e.next()
		// Until the plugin was dead, too, it may have sent the first again.
		for i == 1 && strings.Contains(h.body, `"one"`) {
			h = e.next()
		}
		if got := h.mid(t, text); got != mids[i] {
			t.Errorf("mid %s, expected %s", got, mids[i])
		}
	}
	relay.Get(t, "/wh1.send?text=fence").ExpectStatuses(t, statuses{"wh1": "ok"})
	e.next().mid(t, "fence")
	e.none()
}

func TestGoneWebhookIsDisabledUntilItsURLChanges(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	relay := harness.New(t, nil)
	configure := func(path string) {
		relay.Configure(t, fmt.Sprintf(`{"token": %q, "http": {"host": "127.0.0.1", "port": 0, "waitTimeout": 500}, "websocket": {"enabled": false},
			"webpush": {"enabled": false}, "webhook": {"retryTimeout": 100, "timeout": 20000, "clients": [{"name": "wh1", "url": "%s/%s", "method": "POST"}]}}`,
			relay.Token, e.server.URL, path))
	}
	configure("old")
	relay.Start(t)
	e.from(answer{status: 410})
	relay.Get(t, "/wh1.send?text=one").ExpectStatuses(t, statuses{"wh1": "wait"})
	e.next().mid(t, "one")
	relay.WaitLog(t, "level=WARN", "client disabled", "wh1", "410")
	relay.Stop(t)
	relay.Start(t)
	relay.Get(t, "/wh1.send?text=two").ExpectStatuses(t, statuses{"wh1": "ready"})
	e.none()
	relay.Stop(t)
	e.from(answer{})
	configure("new")
	relay.Start(t)
	for _, text := range []string{"one", "two"} {
		if h := e.next(); h.mid(t, text) == "" || h.path != "/new" {
			t.Errorf("%s went to %s", text, h.path)
		}
	}
}

// "One dead endpoint never delays another receiver".
func TestNineWebhooksGoOnWhileTheTenthHangs(t *testing.T) {
	t.Parallel()
	const rounds = 20
	hanging, alive := newEndpoint(t), newEndpoint(t)
	never := make(chan struct{})
	defer close(never)
	hanging.from(answer{until: never})
	clients := []harness.Object{hanging.client("hangs")}
	var names []string
	for i := range 9 {
		names = append(names, fmt.Sprintf("alive%d", i))
		clients = append(clients, alive.client(names[i]))
	}
	// An attempt at the one that hangs lasts longer than this test.
	relay := harness.Start(t, harness.Object{"webhook": hooks(60_000, clients...)})
	mids := queue(t, relay, "hangs", "one", "two")
	if got := hanging.next().mid(t, "one"); got != mids[0] {
		t.Errorf("mid %s, expected %s", got, mids[0])
	}
	var mu sync.Mutex
	var took []time.Duration
	var all sync.WaitGroup
	for _, name := range names {
		all.Go(func() {
			for range rounds {
				began := time.Now()
				relay.Get(t, "/"+name+".send?text=t").ExpectStatuses(t, statuses{name: "ok"})
				mu.Lock()
				took = append(took, time.Since(began))
				mu.Unlock()
			}
		})
	}
	all.Wait()
	hanging.none()
	slices.Sort(took)
	if len(took) != len(names)*rounds {
		t.Fatalf("%d of %d were delivered", len(took), len(names)*rounds)
	}
	t.Logf("while one endpoint hung, a message to another and its answer took %v in the median, %v at most", took[len(took)/2], took[len(took)-1])
	relay.Do(t, atOnce("/hangs.send?text=three")).ExpectStatuses(t, statuses{"hangs": "ready"})
}
