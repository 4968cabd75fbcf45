package e2e

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mpush/test/fakepush"
	"mpush/test/harness"
)

// pushRelay is a configuration that lets a fake push service in.
func pushRelay(service *fakepush.Server) harness.Object {
	return harness.Object{"webpush": harness.Object{"retryTimeout": 30_000, "allowEndpoints": []string{service.Origin()}}}
}

// with lays more settings over a configuration.
func with(config harness.Object, more harness.Object) harness.Object {
	for name, section := range more {
		config[name] = section
	}
	return config
}

const goodWithPush = `{"cmd":"AUTH","data":{"code":200,"auth":"<auth>","msg":"Successful authentication",
	"webpushServerKey":"<key>","webpushPublicKey":"<key>","fcmServerKey":"<key>"}}`

// browser is a receiver with a websocket and a web push subscription, as the web
// client makes them: it registers by both names, and hears nothing.
type browser struct {
	*harness.Client
	session      string
	subscription *fakepush.Subscription
}

func newBrowser(t *testing.T, relay *harness.Relay, service *fakepush.Server, name, group string) browser {
	t.Helper()
	b := browser{Client: relay.Dial(t)}
	b.Name = name
	b.Send(t, harness.AuthPacket(relay.Token, name, group))
	words := b.Expect(t, goodWithPush)
	b.session, b.subscription = words["auth"], service.Subscribe(words["key"])
	b.Send(t, `{"cmd":"REGISTER_FCM","data":`+b.subscription.JSON()+`}`)
	b.Send(t, `{"cmd":"REGISTER_WEBPUSH","data":`+b.subscription.JSON()+`}`)
	b.ExpectNothing(t)
	// The commands are done when a third one, which is refused, is answered.
	b.Send(t, `{"cmd":"REGISTER_WEBPUSH","data":{"endpoint":1}}`)
	b.ExpectInfo(t, "endpoint")
	return b
}

// onlyPush is a receiver that has a subscription and no websocket: it logs in and
// registers over HTTP.
func onlyPush(t *testing.T, relay *harness.Relay, service *fakepush.Server, name, group string) (*fakepush.Subscription, string) {
	t.Helper()
	words := relay.PostJSON(t, "/", harness.AuthPacket(relay.Token, name, group)).Expect(t, 200, goodWithPush)
	subscription := service.Subscribe(words["key"])
	relay.PostJSON(t, "/", fmt.Sprintf(`{"cmd":"REGISTER_WEBPUSH","auth":%q,"data":%s}`, words["auth"], subscription.JSON())).
		Expect(t, 200, `{"cmd":"INFO","data":"ok"}`)
	return subscription, words["auth"]
}

// pushedMID is that of the message in a push.
func pushedMID(t *testing.T, p *fakepush.Push, text string) string {
	t.Helper()
	return harness.Match(t, string(p.Payload), fmt.Sprintf(`{"cmd":"MESSAGE","data":{"sendType":"<type>","target":"<target>",
		"from":{"method":"http","name":"<name>"},"mid":"<mid>","message":{"text":%q,"desp":"","extra":{}}}}`, text))["mid"]
}

// onlyFences makes sure that nothing was pushed but what nothingMore sends, which
// may be acked before it is pushed.
func onlyFences(t *testing.T, service *fakepush.Server) {
	t.Helper()
	for _, push := range service.Seen() {
		if !strings.Contains(string(push.Payload), `"text":"fence"`) {
			t.Errorf("pushed again after its ack: %s", push.Payload)
		}
	}
}

// short is a time in which a sender's reply comes with what there is.
func short() harness.Object { return harness.Object{"http": harness.Object{"waitTimeout": 500}} }

func TestWebpushStatusesRiseToConfirmedAndOK(t *testing.T) {
	t.Parallel()
	service := fakepush.New(t, fakepush.Options{})
	relay := harness.Start(t, pushRelay(service))
	b := newBrowser(t, relay, service, "phone", "")
	release := make(chan struct{})
	service.Script(fakepush.Answer{Until: release})
	reply := relay.Do(t, get("/phone.send?text=one", "Prefer: wait=1"))
	mid := reply.ExpectStatuses(t, statuses{"phone": "webpush-wait"})
	push := service.Next()
	if got := pushedMID(t, push, "one"); got != mid || push.Urgency != "high" || push.TTL <= 0 {
		t.Errorf("pushed %s with the urgency %q and the TTL %v, expected %s", got, push.Urgency, push.TTL, mid)
	}
	if got := b.ExpectText(t, "one"); got != mid {
		t.Errorf("the websocket got %s, the push %s", got, mid)
	}
	close(release)

	// The next waits behind it on the websocket, and is pushed at once.
	second := sentMID(t, relay.Do(t, atOnce("/phone.send?text=two")))
	eventually(t, "the second is pushed", func() bool { return statusNow(t, relay, second)["phone"] == "webpush-ok" })
	if got := pushedMID(t, service.Next(), "two"); got != second {
		t.Errorf("pushed %s, expected %s", got, second)
	}
	b.ExpectNothing(t)

	const confirmed = "Prefer: wait=15" // long enough to confirm within it
	answer := relay.Begin(t, get("/phone.send?text=three", confirmed))
	third := pushedMID(t, service.Next(), "three")
	relay.PostJSON(t, "/", fmt.Sprintf(`{"cmd":"MESSAGE_WEBPUSH_CALLBACK","auth":%q,"data":{"mid":%q}}`, b.session, third)).ExpectInfo(t, 200, "ok")
	if got := answer().ExpectStatuses(t, statuses{"phone": "webpush-ok-comfirm"}); got != third {
		t.Errorf("mid %s, expected %s", got, third)
	}

	// By the socket, under the old name, and silently; the ack ends it.
	answer = relay.Begin(t, get("/phone.send?text=four", confirmed))
	fourth := pushedMID(t, service.Next(), "four")
	b.Send(t, `{"cmd":"MESSAGE_FCM_CALLBACK","data":{"mid":"`+fourth+`"}}`)
	answer().ExpectStatuses(t, statuses{"phone": "webpush-ok-comfirm"})
	b.Ack(t, mid)
	for i, text := range []string{"two", "three", "four"} {
		if got, want := b.Take(t, text), []string{second, third, fourth}[i]; got != want {
			t.Errorf("mid %s, expected %s", got, want)
		}
	}
	nothingMore(t, relay, b.Client)
	onlyFences(t, service)
}

// Without a route that could ack, the push service's word is the last one: the
// sender has it at once.
func TestPushAloneIsFinalWhenThePushServiceHasIt(t *testing.T) {
	t.Parallel()
	service := fakepush.New(t, fakepush.Options{})
	relay := harness.Start(t, with(pushRelay(service), harness.Object{"http": harness.Object{"waitTimeout": 3_600_000}}))
	_, session := onlyPush(t, relay, service, "tablet", "family")
	mid := relay.Get(t, "/family.group?text=one").ExpectStatuses(t, statuses{"tablet": "webpush-ok"})
	if got := pushedMID(t, service.Next(), "one"); got != mid {
		t.Errorf("pushed %s, expected %s", got, mid)
	}
	relay.PostJSON(t, "/", fmt.Sprintf(`{"cmd":"MESSAGE_WEBPUSH_CALLBACK","auth":%q,"data":{"mid":%q}}`, session, mid)).ExpectInfo(t, 200, "ok")
	relay.PostJSON(t, "/", `{"cmd":"MESSAGE_WEBPUSH_CALLBACK","data":{"mid":"1"}}`).ExpectInfo(t, 401, "Need Auth")
}

// "a message goes to both at once, whichever acks first wins", and an ack ends
// the tries of a push that failed.
func TestAckByTheSocketEndsThePush(t *testing.T) {
	t.Parallel()
	service := fakepush.New(t, fakepush.Options{})
	relay := harness.Start(t, harness.Object{
		"webpush": harness.Object{"retryTimeout": 100, "allowEndpoints": []string{service.Origin()}},
	})
	b := newBrowser(t, relay, service, "phone", "")
	b.subscription.Always(fakepush.Answer{Status: 500})
	answer := relay.Begin(t, harness.Request{Target: "/phone.send?text=one"})
	mid := b.ExpectText(t, "one")
	for range 2 { // it is tried again
		if got := pushedMID(t, service.Next(), "one"); got != mid {
			t.Errorf("pushed %s, expected %s", got, mid)
		}
	}
	b.Ack(t, mid)
	answer().ExpectStatuses(t, statuses{"phone": "ok"})
	service.Seen() // those before the ack
	b.subscription.Always(fakepush.Answer{})
	answer = relay.Begin(t, harness.Request{Target: "/phone.send?text=two"})
	second := b.ExpectText(t, "two")
	for under := 0; ; under++ {
		words := harness.Match(t, string(service.Next().Payload), `{"cmd":"MESSAGE","data":{"sendType":"personal","target":"phone",
			"from":{"method":"http","name":""},"mid":"<mid>","message":{"text":"<text>","desp":"","extra":{}}}}`)
		if words["mid"] == second {
			break
		}
		if under == 1 { // one may have been under way when the ack came
			t.Errorf("%s was pushed again after its ack", words["mid"])
		}
	}
	b.Ack(t, second)
	answer().ExpectStatuses(t, statuses{"phone": "ok"})
}

// "`MESSAGE_CALLBACK` with `auth` → acks for `auth`'s name, on whatever route:
// the resends end and the next message follows".
func TestAckOverHTTPLeavesAllRoutes(t *testing.T) {
	t.Parallel()
	service := fakepush.New(t, fakepush.Options{})
	relay := harness.Start(t, with(pushRelay(service), harness.Object{
		"websocket": harness.Object{"host": "127.0.0.1", "port": 0, "retryTimeout": 60_000},
	}))
	b := newBrowser(t, relay, service, "phone", "")
	first := relay.Do(t, atOnce("/phone.send?text=one")).Expect(t, 200,
		`{"cmd":"MESSAGE_REPLY","data":{"mid":"<mid>","status":{"phone":"<status>"},"phone":"<status>"}}`)["mid"]
	second := relay.Begin(t, harness.Request{Target: "/phone.send?text=two"})
	for _, text := range []string{"one", "two"} {
		pushedMID(t, service.Next(), text)
	}
	b.ExpectText(t, "one")
	b.ExpectNothing(t)
	callback := func(mid string) {
		t.Helper()
		relay.PostJSON(t, "/", fmt.Sprintf(`{"cmd":"MESSAGE_CALLBACK","auth":%q,"data":{"mid":%q}}`, b.session, mid)).ExpectInfo(t, 200, "ok")
	}
	callback(first)
	two := b.ExpectText(t, "two") // at once: a resend would come in a minute
	callback(two)
	second().ExpectStatuses(t, statuses{"phone": "ok"})
	nothingMore(t, relay, b.Client)
	onlyFences(t, service)
}

func TestSubscriptionsAndKeysSurviveRestarts(t *testing.T) {
	t.Parallel()
	service := fakepush.New(t, fakepush.Options{})
	relay := harness.Start(t, pushRelay(service))
	onlyPush(t, relay, service, "tablet", "")
	for i, end := range []func(testing.TB){relay.Stop, relay.Kill} {
		end(t)
		relay.Start(t)
		text := fmt.Sprintf("after%d", i)
		// The service checks that it is signed with the key of the subscription.
		mid := relay.Get(t, "/tablet.send?text="+text).ExpectStatuses(t, statuses{"tablet": "webpush-ok"})
		for {
			// What was handed off in the last moment before a kill is repeated.
			words := harness.Match(t, string(service.Next().Payload), `{"cmd":"MESSAGE","data":{"sendType":"personal","target":"tablet",
				"from":{"method":"http","name":""},"mid":"<mid>","message":{"text":"<text>","desp":"","extra":{}}}}`)
			if words["mid"] == mid {
				break
			}
		}
	}
}

// An old server's keys come along, so that its clients' subscriptions stay valid.
func TestOldServersKeysAreImportedOnce(t *testing.T) {
	t.Parallel()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	public := encode(key.PublicKey().Bytes())
	service := fakepush.New(t, fakepush.Options{})
	relay := harness.New(t, pushRelay(service))
	keys := filepath.Join(relay.Dir, "keys")
	if err := os.WriteFile(keys, fmt.Appendf(nil, `{"publicKey":%q,"privateKey":%q}`, public, encode(key.Bytes())), 0o600); err != nil {
		t.Fatal(err)
	}
	relay.Start(t)
	relay.WaitLog(t, "imported the VAPID keys")
	announced := func() string {
		return relay.PostJSON(t, "/", harness.AuthPacket(relay.Token, "tablet", "")).Expect(t, 200, goodWithPush)["key"]
	}
	if got := announced(); got != public {
		t.Errorf("announced %s, expected %s", got, public)
	}
	onlyPush(t, relay, service, "tablet", "")
	relay.Stop(t)
	if err := os.Remove(keys); err != nil {
		t.Fatal(err)
	}
	relay.Start(t)
	if got := announced(); got != public {
		t.Errorf("announced %s after the file was gone, expected %s", got, public)
	}
	relay.Get(t, "/tablet.send?text=one").ExpectStatuses(t, statuses{"tablet": "webpush-ok"})
	pushedMID(t, service.Next(), "one")
}

func TestSubscriptionThatIsGoneIsDropped(t *testing.T) {
	t.Parallel()
	service := fakepush.New(t, fakepush.Options{})
	relay := harness.Start(t, with(pushRelay(service), short()))
	onlyPush(t, relay, service, "tablet", "")
	service.Script(fakepush.Answer{Status: 410})
	mid := relay.Get(t, "/tablet.send?text=one").ExpectStatuses(t, statuses{"tablet": "webpush-wait"})
	service.Next()
	relay.Get(t, "/tablet.send?text=two").ExpectStatuses(t, statuses{"tablet": "ready"})
	if more := service.Seen(); len(more) > 0 {
		t.Errorf("pushed to a subscription that is gone: %s", more[0].Payload)
	}
	// The browser subscribes anew and gets what it missed.
	onlyPush(t, relay, service, "tablet", "")
	if got := pushedMID(t, service.Next(), "one"); got != mid {
		t.Errorf("mid %s, expected %s", got, mid)
	}
	pushedMID(t, service.Next(), "two")
}

// "Too big: `desp` is cut first, then `extra`, then `text`", and the websocket
// gets all of it.
func TestLongMessageIsPushedCutAndDeliveredWhole(t *testing.T) {
	t.Parallel()
	service := fakepush.New(t, fakepush.Options{})
	relay := harness.Start(t, pushRelay(service))
	b := newBrowser(t, relay, service, "phone", "")
	desp := make([]byte, 20_000)
	for i := range desp {
		desp[i] = 'a' + byte(i%26)
	}
	answer := relay.Begin(t, postJSON("/phone.send", fmt.Sprintf(`{"text":"title","desp":%q,"n":12345678901234567890}`, desp)))
	words := harness.Match(t, string(service.Next().Payload), `{"cmd":"MESSAGE","data":{"sendType":"personal","target":"phone",
		"from":{"method":"http","name":""},"mid":"<mid>","message":{"text":"title","desp":"<desp>","extra":{"n":12345678901234567890,"truncated":true}}}}`)
	cut := words["desp"]
	if len(cut) < 3500 || len(cut) >= len(desp) || string(desp[:3500]) != cut[:3500] {
		t.Errorf("%d bytes of desp were pushed", len(cut))
	}
	mid := b.Expect(t, fmt.Sprintf(`{"cmd":"MESSAGE","data":{"sendType":"personal","target":"phone","from":{"method":"http","name":""},
		"mid":"<mid>","message":{"text":"title","desp":%q,"extra":{"n":12345678901234567890}}}}`, desp))["mid"]
	b.Ack(t, mid)
	answer().ExpectStatuses(t, statuses{"phone": "ok"})
}
