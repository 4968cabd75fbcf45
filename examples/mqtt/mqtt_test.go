package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
	"mpush/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m, "cmd/mpush", "examples/mqtt")) }

const (
	handedOff = pluginpb.OutcomeKind_OUTCOME_KIND_HANDED_OFF
	again     = pluginpb.OutcomeKind_OUTCOME_KIND_RETRY
	dead      = pluginpb.OutcomeKind_OUTCOME_KIND_REJECTED
)

// start runs the channel. more are further keys of its section, each with a
// comma before. With subscriptions it returns when they stand.
func start(t *testing.T, m *mosquitto, more string, o plugintest.Options) *plugintest.Core {
	t.Helper()
	c := newChannel()
	c.withoutToken = true
	o.Config = fmt.Sprintf(`{"broker": %q, "clientID": "mpush-test"%s}`, m.url(), more)
	core := plugintest.Start(t, c, o)
	if strings.Contains(more, "subscribe") {
		awaitSubscribed(t, m)
	}
	return core
}

// awaitSubscribed publishes to a topic that all subscriptions of the tests have,
// and of which nothing becomes, until somebody is there.
func awaitSubscribed(t *testing.T, m *mosquitto) {
	t.Helper()
	probe := m.device(t)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if probe.publish("probe/", "", false) == 0 { // 0x10: no matching subscribers
			return
		}
	}
	t.Fatal("the channel has not subscribed")
}

const probed = `{"filter": "probe/"}`

func published(core *plugintest.Core) *pluginpb.Publish {
	return plugintest.Next[*pluginpb.PluginEnvelope_Publish](core).Publish
}

func TestMessageGoesToItsTopic(t *testing.T) {
	broker := startMosquitto(t, "")
	device := broker.device(t, "#")
	core := start(t, broker, `, "receivers": [{"name": "lamp", "group": "home", "topic": "home/lamp"},
		{"name": "sign", "topic": "sign", "payload": "text", "qos": 0, "retain": true}]`, plugintest.Options{})
	if group, ok := core.Group("lamp"); !ok || group != "home" {
		t.Errorf("declared group %q, %v", group, ok)
	}
	mid := core.Deliver("lamp", &pluginpb.Message{Text: "on", Desp: "bright", Extra: []byte(`{"n":1}`)})
	if got := core.Outcome(); got.GetKind() != handedOff {
		t.Fatalf("outcome %v", got)
	}
	first := device.until(func(all []*paho.Publish) bool { return len(all) == 1 })[0]
	harness.Match(t, string(first.Payload), fmt.Sprintf(`{"cmd":"MESSAGE","data":{"sendType":"personal","target":"lamp","from":{"method":"http","name":""},
		"mid":"%d","message":{"text":"on","desp":"bright","extra":{"n":1}}}}`, mid))
	if first.Topic != "home/lamp" || first.QoS != 1 || first.Retain || first.Properties.ContentType != "application/json" || first.Properties.User.Get("mpush-mid") != fmt.Sprint(mid) {
		t.Errorf("published %v", first)
	}
	core.Deliver("sign", &pluginpb.Message{Text: "open"})
	if got := core.Outcome(); got.GetKind() != handedOff {
		t.Fatalf("outcome %v", got)
	}
	second := device.until(func(all []*paho.Publish) bool { return len(all) == 2 })[1]
	if second.Topic != "sign" || second.QoS != 0 || !second.Retain || string(second.Payload) != "open" || !strings.HasPrefix(second.Properties.ContentType, "text/plain") {
		t.Errorf("published %v", second)
	}
	if err := core.Health(); err != nil {
		t.Errorf("health %v", err)
	}
}

func TestWhatComesIsPublished(t *testing.T) {
	broker := startMosquitto(t, "")
	device := broker.device(t)
	core := start(t, broker, `, "subscribe": [`+probed+`, {"filter": "alerts/+/disk", "name": "ops"}, {"filter": "all", "group": "home"},
		{"filter": "to/#"}, {"filter": "json/+", "payload": "json"}]`, plugintest.Options{})
	for _, test := range []struct {
		topic, payload     string
		sendType           sdk.SendType
		target, text, desp string
		extra              string
		identified         bool
	}{
		{"alerts/nas/disk", "90 %", sdk.Personal, "ops", "90 %", "", `{"topic":"alerts/nas/disk"}`, false},
		{"all", `{"text":"hello"}`, sdk.Group, "home", `{"text":"hello"}`, "", `{"topic":"all"}`, false},
		{"to/my/phone", "你好 \xff", sdk.Personal, "phone", "你好 \uFFFD", "", `{"topic":"to/my/phone"}`, false},
		{"json/phone", `{"text":"hello","desp":"world","extra":{"n":12345678901234567890},"id":"x1"}`, sdk.Personal, "phone", "hello", "world", `{"n":12345678901234567890,"topic":"json/phone"}`, true},
		{"json/phone", `{"extra":{"topic":"mine"}}`, sdk.Personal, "phone", "", "", `{"topic":"mine"}`, false},
	} {
		device.publish(test.topic, test.payload, false)
		got := published(core)
		if got.GetSendType() != test.sendType || got.GetTarget() != test.target || got.GetText() != test.text || got.GetDesp() != test.desp || (got.GetIdempotencyKey() != "") != test.identified {
			t.Errorf("%s: published %v", test.topic, got)
		}
		harness.Match(t, string(got.GetExtra()), test.extra)
		if !got.GetCredentials().GetTrusted() || got.GetCredentials().GetToken() != "" {
			t.Errorf("%s: other credentials", test.topic)
		}
	}
	// What can never be a message is dropped, and holds up nothing.
	device.publish("json/phone", `no JSON`, false)
	device.publish("to/phone/", `no name`, false)
	device.publish("to/phone", "after that", false)
	if got := published(core); got.GetText() != "after that" {
		t.Errorf("published %v", got)
	}
}

// An ack to the broker follows the disk, so what was
// not published comes again, in order.
func TestWhatIsNotOnDiskIsNotAcknowledged(t *testing.T) {
	broker := startMosquitto(t, "")
	device := broker.device(t)
	const subscribe = `, "subscribe": [` + probed + `, {"filter": "to/+"}]`
	asked, never := make(chan string, 16), make(chan struct{})
	core := start(t, broker, subscribe, plugintest.Options{Publish: func(p *pluginpb.Publish) *pluginpb.PublishResult {
		asked <- p.GetText()
		if p.GetText() != "first" {
			<-never
		}
		return &pluginpb.PublishResult{Mid: 1}
	}})
	for _, text := range []string{"first", "second", "third"} {
		device.publish("to/phone", text, false)
	}
	if one, two := <-asked, <-asked; one != "first" || two != "second" {
		t.Errorf("asked for %q and %q", one, two)
	}
	core.Stop() // the second has no answer, the third was not asked for
	close(never)
	after := start(t, broker, subscribe, plugintest.Options{})
	for _, want := range []string{"second", "third"} {
		if got := published(after); got.GetText() != want {
			t.Errorf("published %q, want %q", got.GetText(), want)
		}
	}
	device.publish("to/phone", "last", false)
	if got := published(after); got.GetText() != "last" {
		t.Errorf("published %q", got.GetText())
	}
}

func TestRefusals(t *testing.T) {
	broker := startMosquitto(t, "")
	device := broker.device(t)
	refuse := func(code sdk.Code) *pluginpb.PublishResult {
		return &pluginpb.PublishResult{Error: &pluginpb.Error{Code: code, Message: "because"}}
	}
	results := make(chan *pluginpb.PublishResult, 8)
	core := start(t, broker, `, "subscribe": [`+probed+`, {"filter": "to/+"}]`, plugintest.Options{
		Publish: func(*pluginpb.Publish) *pluginpb.PublishResult { return <-results },
	})
	for name, test := range map[string]struct {
		results []*pluginpb.PublishResult
	}{
		"taken":        {[]*pluginpb.PublishResult{{Mid: 1}}},
		"nobody":       {[]*pluginpb.PublishResult{{Statuses: []*pluginpb.ReceiverStatus{{Receiver: "phone", Status: "no"}}}}},
		"full":         {[]*pluginpb.PublishResult{{Statuses: []*pluginpb.ReceiverStatus{{Receiver: "phone", Status: "full"}}}}},
		"forbidden":    {[]*pluginpb.PublishResult{refuse(sdk.CodeForbidden)}},
		"too large":    {[]*pluginpb.PublishResult{refuse(sdk.CodeTooLarge)}},
		"limit":        {[]*pluginpb.PublishResult{refuse(sdk.CodeLimit), {Mid: 1}}},
		"disk is full": {[]*pluginpb.PublishResult{refuse(sdk.CodeUnavailable), {Mid: 1}}},
	} {
		device.publish("to/phone", name, false)
		for range test.results {
			results <- test.results[0]
			if got := published(core); got.GetText() != name {
				t.Errorf("%s: published %q", name, got.GetText())
			}
			test.results = test.results[1:]
		}
	}
}

// What is sent to a topic that is subscribed to as well does not come back, also
// not to another channel of this kind.
func TestMessagesDoNotGoRound(t *testing.T) {
	broker := startMosquitto(t, "")
	device := broker.device(t)
	core := start(t, broker, `, "receivers": [{"name": "lamp", "topic": "to/lamp"}], "subscribe": [`+probed+`, {"filter": "to/+"}]`, plugintest.Options{})
	other := newChannel()
	other.withoutToken = true
	second := plugintest.Start(t, other, plugintest.Options{Config: fmt.Sprintf(`{"broker": %q, "subscribe": [{"filter": "second/"}, {"filter": "to/+"}]}`, broker.url())})
	for device.publish("second/", "", false) != 0 {
	}
	core.Deliver("lamp", &pluginpb.Message{Text: "on"})
	if got := core.Outcome(); got.GetKind() != handedOff {
		t.Fatalf("outcome %v", got)
	}
	device.publish("to/lamp", "after that", false)
	for _, c := range []*plugintest.Core{core, second} {
		if got := published(c); got.GetText() != "after that" {
			t.Errorf("published %v", got)
		}
	}
	if id := string(second.State()[clientIDKey]); !strings.HasPrefix(id, "mpush-") || len(id) > 23 {
		t.Errorf("client id %q", id)
	}
}

func TestRetainedMessagesAreTakenWhereWanted(t *testing.T) {
	broker := startMosquitto(t, "")
	device := broker.device(t)
	device.publish("old/phone", "old", true)
	device.publish("kept/phone", "kept", true)
	core := start(t, broker, `, "subscribe": [`+probed+`, {"filter": "old/+"}, {"filter": "kept/+", "retained": true}]`, plugintest.Options{})
	device.publish("old/phone", "new", true)
	for _, want := range []string{"kept", "new"} {
		if got := published(core); got.GetText() != want {
			t.Errorf("published %q, want %q", got.GetText(), want)
		}
	}
}

func TestBrokerMayGoAndComeBack(t *testing.T) {
	broker := startMosquitto(t, "")
	core := start(t, broker, `, "timeout": 1000, "receivers": [{"name": "lamp", "topic": "lamp"}], "subscribe": [`+probed+`, {"filter": "to/+"}]`, plugintest.Options{})
	broker.stop(t)
	core.Deliver("lamp", &pluginpb.Message{Text: "on"})
	if got := core.Outcome(); got.GetKind() != again || !strings.Contains(got.GetError(), "the broker") {
		t.Errorf("outcome %v", got)
	}
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) { // its connection's end may be noticed later
		err := core.Health()
		if err != nil && strings.Contains(err.Error(), "the broker: ") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("health %v", err)
		}
	}
	broker.start(t)
	device := broker.device(t, "lamp")
	awaitSubscribed(t, broker)
	core.Deliver("lamp", &pluginpb.Message{Text: "on again"})
	for core.Outcome().GetKind() != handedOff { // the connection may not be noticed yet
		core.Deliver("lamp", &pluginpb.Message{Text: "on again"})
	}
	device.until(func(all []*paho.Publish) bool { return len(all) > 0 })
	device.publish("to/phone", "hello", false)
	if got := published(core); got.GetText() != "hello" {
		t.Errorf("published %v", got)
	}
	if err := core.Health(); err != nil {
		t.Errorf("health %v", err)
	}
}

// A connection serves a moment before it is known what the broker takes: no message
// is given up by what it took before, or by nothing.
func TestPacketLimitIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		for _, limit := range []uint32{2000, 1000} {
			told := make(chan int, 1)
			go func() {
				n, err := b.packetLimit(t.Context())
				if err != nil {
					t.Error(err)
				}
				told <- n
			}()
			synctest.Wait()
			if len(told) > 0 {
				t.Errorf("%d bytes are known already", <-told)
			}
			b.up(&paho.Connack{Properties: &paho.ConnackProperties{MaximumPacketSize: &limit}})
			if n := <-told; n != int(limit) {
				t.Errorf("%d bytes are known, not %d", n, limit)
			}
			b.down()
		}
		late, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.packetLimit(late); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without a connection: %v", err)
		}
	})
}

func TestWhatTheBrokerRefuses(t *testing.T) {
	broker := startMosquitto(t, "max_packet_size 2000")
	core := start(t, broker, `, "receivers": [{"name": "lamp", "topic": "lamp"}]`, plugintest.Options{})
	core.Deliver("lamp", &pluginpb.Message{Text: strings.Repeat("x", 3000)})
	if got := core.Outcome(); got.GetKind() != dead || !strings.Contains(got.GetError(), "2000 bytes") {
		t.Errorf("outcome %v", got)
	}
	core.Deliver("lamp", &pluginpb.Message{Text: "on"})
	if got := core.Outcome(); got.GetKind() != handedOff {
		t.Errorf("outcome %v", got)
	}

	closed := startMosquitto(t, "allow_anonymous false")
	core = start(t, closed, `, "timeout": 5000, "username": "me", "password": "secret", "receivers": [{"name": "lamp", "topic": "lamp"}]`, plugintest.Options{})
	core.Deliver("lamp", &pluginpb.Message{Text: "on"})
	if got := core.Outcome(); got.GetKind() != again || !strings.Contains(got.GetError(), "check username") || strings.Contains(got.GetError(), "secret") {
		t.Errorf("outcome %v", got)
	}
}

func TestFilters(t *testing.T) {
	for filter, valid := range map[string]bool{
		"a": true, "a/b": true, "/": true, "+/b": true, "a/#": true, "#": true, "probe/": true,
		"": false, "a#": false, "#/a": false, "a+/b": false, "$SYS/#": false, "$share/g/a": false,
	} {
		if validFilter(filter) != valid {
			t.Errorf("%q: %v", filter, !valid)
		}
	}
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"a", "a/", false}, {"a/#", "a", true}, {"a/#", "a/b/c", true}, {"#", "/", true},
		{"a/+", "a/b", true}, {"a/+", "a", false}, {"a/+", "a/b/c", false}, {"a/+/c", "+/b/c", true}, {"a/+/c", "+/b/d", false}, {"+/#", "a", true},
	} {
		if overlap(test.a, test.b) != test.want || overlap(test.b, test.a) != test.want {
			t.Errorf("%q and %q: %v", test.a, test.b, !test.want)
		}
	}
}

func TestMistakesInTheConfigAreNamed(t *testing.T) {
	for _, test := range []struct {
		config       string
		withoutToken bool
		want         []string
	}{
		{`{"receivers": [{"name": "a", "topic": "", "qos": 2, "payload": "xml"}], "subscribe": [{}]}`, true,
			[]string{"broker", "receivers[0].payload", "receivers[0].qos", "receivers[0].topic", "subscribe[0].filter"}},
		{`{"broker": "mqtt://me:secret@127.0.0.1", "receivers": [{"name": "a", "topic": "a/+"}, {"name": "a", "topic": "$SYS/a"}],
			"subscribe": [{"filter": "a/#b"}, {"filter": "+/x", "name": "n", "group": "g"}, {"filter": "a/x"}]}`, true,
			[]string{"broker", "receivers[0].topic", "receivers[1].name", "receivers[1].topic", "subscribe[0].filter", "subscribe[1].group", "subscribe[2].filter"}},
		{`{"broker": "127.0.0.1:1883", "subscribe": [{"filter": "a"}]}`, false, []string{"broker", "subscribe"}},
		{`{"broker": "mqtts://127.0.0.1", "receivers": [{"name": "a", "topic": "a/b"}]}`, false, nil},
	} {
		c := newChannel()
		c.withoutToken = test.withoutToken
		var paths []string
		for _, d := range plugintest.Configure(t, c, plugintest.Options{Config: test.config}) {
			if d.GetSeverity() == pluginpb.Severity_SEVERITY_ERROR {
				paths = append(paths, d.GetPath())
			}
			if strings.Contains(d.GetMessage(), "secret") {
				t.Errorf("%q shows the password", d.GetMessage())
			}
		}
		slices.Sort(paths)
		paths = slices.Compact(paths)
		if !slices.Equal(paths, test.want) {
			t.Errorf("faults at %q, want %q", paths, test.want)
		}
	}
}
