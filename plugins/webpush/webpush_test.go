package webpush

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
	"mpush/test/fakepush"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// channel is the channel with a push service that it may call.
type channel struct {
	*plugintest.Core
	t       *testing.T
	service *fakepush.Server
	key     string // as announced
}

// start runs the channel. config is the inside of its section.
func start(t *testing.T, config string) *channel {
	t.Helper()
	return startWith(t, fakepush.Options{}, config, plugintest.Options{})
}

func startWith(t *testing.T, service fakepush.Options, config string, o plugintest.Options) *channel {
	t.Helper()
	c := &channel{t: t, service: fakepush.New(t, service)}
	if config != "" {
		config = "," + config
	}
	o.Config = fmt.Sprintf(`{"allowEndpoints":[%q]%s}`, c.service.Origin(), config)
	c.Core = plugintest.Start(t, New(), o)
	c.key = announcedKey(t, c.Core)
	return c
}

func announcedKey(t *testing.T, core *plugintest.Core) string {
	t.Helper()
	var key string
	if err := json.Unmarshal(core.Announced()["webpushServerKey"], &key); err != nil {
		t.Fatal(err)
	}
	return key
}

// subscribe makes a subscription and registers it.
func (c *channel) subscribe(receiver string) *fakepush.Subscription {
	c.t.Helper()
	s := c.service.Subscribe(c.key)
	if reply := c.Command(cmdRegister, receiver, "", s.JSON()); reply.GetError() != nil || reply.GetInfo() != "" {
		c.t.Fatalf("register: %v", reply)
	}
	return s
}

// expect waits for an outcome.
func (c *channel) expect(mid int64, kind pluginpb.OutcomeKind) *pluginpb.Outcome {
	c.t.Helper()
	got := c.Outcome()
	if got.GetMid() != mid || got.GetKind() != kind {
		c.t.Errorf("outcome %v, want %v of %d", got, kind, mid)
	}
	return got
}

const (
	handedOff = pluginpb.OutcomeKind_OUTCOME_KIND_HANDED_OFF
	gone      = pluginpb.OutcomeKind_OUTCOME_KIND_GONE
	retry     = pluginpb.OutcomeKind_OUTCOME_KIND_RETRY
)

// message is what a subscriber reads.
type message struct {
	Cmd  string
	Data struct {
		Mid, SendType, Target string
		From                  struct{ Method, Name string }
		Message               struct {
			Text, Desp string
			Extra      map[string]any
		}
	}
}

func parse(t *testing.T, payload []byte) message {
	t.Helper()
	var m message
	if err := json.Unmarshal(payload, &m); err != nil {
		t.Fatalf("%s: %v", payload, err)
	}
	return m
}

// logs are what is logged during a test.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func captureLogs(t *testing.T) *logs {
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	l := &logs{}
	slog.SetDefault(slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug})))
	return l
}

func TestMessageIsPushedAsItIs(t *testing.T) {
	for name, options := range map[string]fakepush.Options{"http": {}, "https": {TLS: true}} {
		t.Run(name, func(t *testing.T) {
			c := &channel{t: t, service: fakepush.New(t, options)}
			p := New().(*plugin)
			trust(p, c.service)
			c.Core = plugintest.Start(t, p, plugintest.Options{Config: fmt.Sprintf(`{"allowEndpoints":[%q],"ttl":120,"subject":"ops@example.org"}`, c.service.Origin())})
			c.key = announcedKey(t, c.Core)
			phone := c.subscribe("phone")
			mid := c.Deliver("phone", &pluginpb.Message{Text: "t", Desp: "d", FromName: "pc", Extra: []byte(`{"n":12345678901234567890}`)})
			c.expect(mid, handedOff)
			got := c.service.Next()
			want := fmt.Sprintf(`{"cmd":"MESSAGE","data":{"sendType":"personal","target":"phone","from":{"method":"http","name":"pc"},"mid":"%d",`+
				`"message":{"text":"t","desp":"d","extra":{"n":12345678901234567890}}}}`, mid)
			if string(got.Payload) != want || got.Subscription != phone {
				t.Errorf("payload %s", got.Payload)
			}
			if got.TTL.Seconds() != 120 || got.Urgency != "high" || got.Topic != "" || got.Claims.Subject != "mailto:ops@example.org" {
				t.Errorf("got %+v", got)
			}
			c.Stop()
			if err := c.Health(); err != nil {
				t.Errorf("health: %v", err)
			}
		})
	}
}

func TestTheDefaultsAreSent(t *testing.T) {
	c := start(t, "")
	c.subscribe("phone")
	c.expect(c.Deliver("phone", &pluginpb.Message{}), handedOff)
	if got := c.service.Next(); got.TTL.Hours() != 7*24 || got.Claims.Subject != defaultSubject || got.BodyBytes != 1024 {
		t.Errorf("got %+v", got)
	}
}

func TestUrgencyAndTopicComeFromTheExtra(t *testing.T) {
	c := start(t, "")
	c.subscribe("phone")
	for extra, want := range map[string][2]string{
		`{"urgency":"very-low","topic":"weather_1-a"}`:        {"very-low", "weather_1-a"},
		`{"urgency":"low"}`:                                   {"low", ""},
		`{"urgency":"normal"}`:                                {"normal", ""},
		`{"urgency":"High"}`:                                  {"high", ""},
		`{"urgency":1,"topic":2}`:                             {"high", ""},
		`{"topic":"a b"}`:                                     {"high", ""},
		`{"topic":"12345678901234567890123456789012"}`:        {"high", "12345678901234567890123456789012"},
		`{"topic":"123456789012345678901234567890123"}`:       {"high", ""},
		`{"Topic":"a","URGENCY":"low","inner":{"topic":"b"}}`: {"high", ""},
		`{"topic":"bad\r\nX: y"}`:                             {"high", ""},
	} {
		c.expect(c.Deliver("phone", &pluginpb.Message{Extra: []byte(extra)}), handedOff)
		if got := c.service.Next(); got.Urgency != want[0] || got.Topic != want[1] {
			t.Errorf("%s: urgency %q, topic %q", extra, got.Urgency, got.Topic)
		}
	}
}

func TestSendersTimeIsThePushServicesToo(t *testing.T) {
	c := start(t, `"ttl":86400`)
	c.subscribe("phone")
	for extra, want := range map[string]int{
		`{"ttl":60}`:      60,
		`{"ttl":"60"}`:    60,
		`{"ttl":6e1}`:     60,
		`{"ttl":86399}`:   86399,
		`{"ttl":86401}`:   86400, // the operator's is less
		`{"ttl":1e300}`:   86400,
		`{"ttl":"1e2"}`:   86400,
		`{"ttl":60.5}`:    86400,
		`{"ttl":0}`:       86400,
		`{"ttl":-60}`:     86400,
		`{"ttl":true}`:    86400,
		`{"ttl":null}`:    86400,
		`{"ttl":[60]}`:    86400,
		`{"TTL":60}`:      86400,
		`{"a":"\"ttl\""}`: 86400,
		`{}`:              86400,

		`{"ttl":"99999999999999999999"}`:     86400,
		`{"ttl":60,"urgency":"low","o":{}}`:  60,
		`{"o":{"ttl":60},"topic":"a","n":5}`: 86400,
	} {
		c.expect(c.Deliver("phone", &pluginpb.Message{Extra: []byte(extra)}), handedOff)
		if got := int(c.service.Next().TTL.Seconds()); got != want {
			t.Errorf("%s: %d, want %d", extra, got, want)
		}
	}
}

// A message that has waited has less time left. One that is older than its time
// was replayed, and has it anew.
func TestTimeThatHasPassedIsNoMorePartOfTheSendersTime(t *testing.T) {
	const accepted = 1596543210123
	for _, test := range []struct {
		given  time.Duration
		passed time.Duration
		want   int
	}{
		{0, time.Hour, 1000},
		{time.Minute, -time.Hour, 60}, // the mid is ahead of a clock that was set back
		{time.Minute, 0, 60},
		{time.Minute, time.Millisecond, 60},
		{time.Minute, 15 * time.Second, 45},
		{time.Minute, 59*time.Second + 999*time.Millisecond, 1},
		{time.Minute, time.Minute, 60},
		{time.Minute, 48 * time.Hour, 60},
		{2000 * time.Second, time.Second, 1000},
		{2000 * time.Second, 1500 * time.Second, 500},
	} {
		extra := fmt.Appendf(nil, `{"ttl":%d}`, int(test.given.Seconds()))
		now := time.UnixMilli(accepted).Add(test.passed)
		if got := hintsOf(&sdk.Message{MID: accepted, Extra: extra}, 1000, now).ttl; got != test.want {
			t.Errorf("%v after %v: %d, want %d", test.given, test.passed, got, test.want)
		}
	}
}
