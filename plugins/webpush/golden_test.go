package webpush

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
	"time"

	"mpush/sdk/packet/golden"
	"mpush/sdk/plugintest"
	"mpush/test/fakepush"
)

func TestGoldenExchanges(t *testing.T) {
	for _, e := range golden.Load(t, "webpush") {
		t.Run(e.Name, func(t *testing.T) {
			service := fakepush.New(t, fakepush.Options{})
			core := plugintest.Start(t, New(), plugintest.Options{
				Config: `{"allowEndpoints":["` + service.Origin() + `"]}`,
				Answer: e.Answer(t),
			})
			var key string
			if err := json.Unmarshal(core.Announced()["webpushServerKey"], &key); err != nil {
				t.Fatalf("webpushServerKey: %v", err)
			}
			browser := service.Subscribe(key)
			e := e.With("key", key, "endpoint", browser.Endpoint(), "auth", browser.Auth(), "p256dh", browser.P256dh())
			party := &goldenPushService{service: service, browser: browser}
			party.prepare(t, e)
			e.Play(t, core, map[string]golden.Party{"push service": party})
			if more := service.Seen(); len(more) > 0 {
				t.Errorf("pushed beyond what the file says: %s", more[0].Payload)
			}
		})
	}
}

// goldenPushService reads pushes as the browser would.
type goldenPushService struct {
	service *fakepush.Server
	browser *fakepush.Subscription
	last    *fakepush.Push
}

// prepare has the service answer as the file says: it does so by itself, before
// the push is looked at.
func (s *goldenPushService) prepare(t testing.TB, e golden.Exchange) {
	t.Helper()
	for _, step := range e.Steps {
		if step.From != "push service" {
			continue
		}
		message, err := golden.ParseHTTP(step.Text)
		if err != nil {
			t.Fatalf("%s: %v", step.Place, err)
		}
		status, err := strconv.Atoi(message.Status())
		if err != nil {
			t.Fatalf("%s: %v", step.Place, err)
		}
		answer := fakepush.Answer{Status: status, Header: map[string]string{}}
		for name := range message.Header {
			answer.Header[name] = message.Header.Get(name)
		}
		s.browser.Script(answer)
	}
}

// Say makes sure that the last push was answered so.
func (s *goldenPushService) Say(t testing.TB, text string) {
	t.Helper()
	message, err := golden.ParseHTTP(text)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if s.last == nil || strconv.Itoa(s.last.Status) != message.Status() {
		t.Fatalf("the last push was answered otherwise: %+v", s.last)
	}
}

// Hear compares the next push, decrypted. That it is signed and encrypted as it
// should be has been checked by the service.
func (s *goldenPushService) Hear(t testing.TB, text string) {
	t.Helper()
	want, err := golden.ParseHTTP(text)
	if err != nil {
		t.Fatalf("%v", err)
	}
	s.last = s.service.Next()
	if line := "POST " + s.last.Subscription.Endpoint() + " HTTP/1.1"; line != want.Line {
		t.Errorf("\n got %s\nwant %s", line, want.Line)
	}
	header := http.Header{"Content-Encoding": {"aes128gcm"}}
	header.Set("TTL", strconv.Itoa(int(s.last.TTL/time.Second)))
	header.Set("Urgency", s.last.Urgency)
	if err := want.Compare(header, string(s.last.Payload)); err != nil {
		t.Errorf("%v", err)
	}
}
