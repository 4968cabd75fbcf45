package e2e

import (
	"fmt"
	"net/http"
	"testing"

	"mpush/test/harness"
)

// anyStatus is a MESSAGE_REPLY about the phone, whatever has become of it.
const anyStatus = `{"cmd":"MESSAGE_REPLY","data":{"mid":"<mid>","status":{"phone":"<status>"},"phone":"<status>"}}`

func keyed(target, key string, header ...string) harness.Request {
	return get(target, append(header, "Prefer: wait=0", "Idempotency-Key: "+key)...)
}

func TestRepeatedSendIsTheFirstOne(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, harness.FixedPorts(t))
	relay.Away(t, "phone", "")
	send := keyed("/phone.send?text=once&n=1", "k1")
	mid := relay.Do(t, send).ExpectStatuses(t, statuses{"phone": "ready"})
	for range 2 {
		if got := relay.Do(t, send).ExpectStatuses(t, statuses{"phone": "ready"}); got != mid {
			t.Errorf("mid %s, expected %s", got, mid)
		}
	}
	relay.Kill(t)
	relay.Start(t)
	if got := relay.Do(t, send).ExpectStatuses(t, statuses{"phone": "ready"}); got != mid {
		t.Errorf("after a crash: mid %s, expected %s", got, mid)
	}
	// Another message by that key is a mistake of the sender's.
	for _, target := range []string{"/phone.send?text=twice&n=1", "/phone.send?text=once&n=2", "/phone.send?text=once&desp=x&n=1", "/phone.group?text=once&n=1"} {
		relay.Do(t, keyed(target, "k1")).ExpectInfo(t, 400, "idempotency key", "another message")
	}
	relay.Do(t, keyed("/phone.send?text=x", longKey())).ExpectInfo(t, 400, "idempotency key", "256")
	phone := relay.Receiver(t, "phone")
	if got := phone.Take(t, "once"); got != mid {
		t.Errorf("mid %s, expected %s", got, mid)
	}
	nothingMore(t, relay, phone)
	eventually(t, "the ack is known", func() bool { return statusNow(t, relay, mid)["phone"] == "ok" })
	if got := relay.Do(t, send).ExpectStatuses(t, statuses{"phone": "ok"}); got != mid {
		t.Errorf("after the ack: mid %s, expected %s", got, mid)
	}
	phone.ExpectNothing(t)
}

// longKey is one byte longer than a key may be.
func longKey() string {
	key := make([]byte, 257)
	for i := range key {
		key[i] = 'k'
	}
	return string(key)
}

// The sender was never answered: the core died while it waited.
func TestSenderWhoseConnectionBrokeMaySendAgain(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, harness.FixedPorts(t))
	phone := relay.Receiver(t, "phone")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+relay.Address(t, "http")+"/phone.send?text=once", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Idempotency-Key", "k1")
	broken := make(chan error, 1)
	go func() {
		response, err := http.DefaultTransport.RoundTrip(request)
		if err == nil {
			err = response.Body.Close()
		}
		broken <- err
	}()
	mid := phone.ExpectText(t, "once")
	relay.Kill(t)
	if err := <-broken; err == nil {
		t.Fatal("the sender was answered by a killed relay")
	}
	relay.Start(t)
	if got := relay.Do(t, keyed("/phone.send?text=once", "k1")).Expect(t, 200, anyStatus)["mid"]; got != mid {
		t.Errorf("mid %s, expected %s", got, mid)
	}
	phone = relay.Receiver(t, "phone")
	if got := phone.Take(t, "once"); got != mid {
		t.Errorf("mid %s, expected %s", got, mid)
	}
	nothingMore(t, relay, phone)
}

func TestManyOfTheSameSendAtOnceAreOneMessage(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, nil)
	phone := relay.Receiver(t, "phone")
	var answers []func() harness.Reply
	for range 20 {
		answers = append(answers, relay.Begin(t, get("/phone.send?text=once", "Idempotency-Key: k1")))
	}
	mid := phone.Take(t, "once")
	for _, answer := range answers {
		if got := answer().Expect(t, 200, anyStatus)["mid"]; got != mid {
			t.Errorf("mid %s, expected %s", got, mid)
		}
	}
	nothingMore(t, relay, phone)
}

func TestKeysAreTheirSendersOwn(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, harness.Object{"websocket": harness.Object{"waitTimeout": 500}})
	relay.Away(t, "phone", "")
	ann, bob := relay.Dial(t), relay.Dial(t)
	annAuth, _ := ann.Auth(t, relay.Token, "ann", ""), bob.Auth(t, relay.Token, "bob", "")
	const data = `{"sendType":"personal","target":"phone","idempotencyKey":%q,"message":{"text":"x"}}`
	overSocket := func(c *harness.Client, key string) string {
		t.Helper()
		c.Send(t, fmt.Sprintf(`{"cmd":"MESSAGE","data":`+data+`}`, key))
		return c.Expect(t, harness.MessageReply(statuses{"phone": "ready"}))["mid"]
	}
	overHTTP := func(auth, inPacket string, header ...string) string {
		t.Helper()
		packet := fmt.Sprintf(`{"cmd":"MESSAGE","auth":%q,"data":`+data+`}`, auth, inPacket)
		return relay.Do(t, postJSON("/", packet, append(header, "Prefer: wait=0")...)).ExpectStatuses(t, statuses{"phone": "ready"})
	}
	mids := map[string]string{ // all of one key, by its senders
		"ann":            overSocket(ann, "k1"),
		"bob":            overSocket(bob, "k1"),
		"this machine":   overHTTP("", "k1"),
		"another":        overHTTP("", "k1", "X-Forwarded-For: 192.0.2.1"),
		"without a key":  overSocket(ann, ""),
		"ann, other key": overSocket(ann, "k2"),
	}
	seen := make(map[string]bool)
	for who, mid := range mids {
		if seen[mid] {
			t.Errorf("%s shares a message with somebody else", who)
		}
		seen[mid] = true
	}
	for who, again := range map[string]string{
		"ann":          overSocket(ann, "k1"),
		"bob":          overSocket(bob, "k1"),
		"this machine": overHTTP("", "", "Idempotency-Key: k1"),
		"another":      overHTTP("", "k1", "X-Forwarded-For: 192.0.2.1"),
	} {
		if again != mids[who] {
			t.Errorf("%s: mid %s, expected %s", who, again, mids[who])
		}
	}
	// A session is its name's, by whatever channel it comes, and the packet's key
	// goes before the header's.
	if got := overHTTP(annAuth, "k1", "Idempotency-Key: k2"); got != mids["ann"] {
		t.Errorf("mid %s, expected %s", got, mids["ann"])
	}
	if b := balance(t, relay); b.Total.Accepted != len(mids) {
		t.Errorf("%d messages were accepted, expected %d", b.Total.Accepted, len(mids))
	}
}

func showRepeatedGroupSendIsForThoseOfTheFirst(t *testing.T, w wire) {
	relay := w.open
	relay.Away(t, "aunt", "relatives")
	relay.Away(t, "uncle", "relatives")
	send := keyed("/relatives.group?text=all", "relatives 1")
	mid := relay.Do(t, send).ExpectStatuses(t, statuses{"aunt": "ready", "uncle": "ready"})
	relay.Away(t, "cousin", "relatives")
	if got := relay.Do(t, send).ExpectStatuses(t, statuses{"aunt": "ready", "uncle": "ready"}); got != mid {
		t.Errorf("mid %s, expected %s", got, mid)
	}
	relay.Member(t, "cousin", "relatives").ExpectNothing(t)

	// What went to nobody was not sent: it may be sent again when there is
	// somebody.
	ghost := keyed("/stranger.send?text=boo", "relatives 2")
	relay.Do(t, ghost).Expect(t, 200, `{"cmd":"MESSAGE_REPLY","data":{"status":{"stranger":"no"},"stranger":"no"}}`)
	relay.Away(t, "stranger", "")
	relay.Do(t, ghost).ExpectStatuses(t, statuses{"stranger": "ready"})
}
