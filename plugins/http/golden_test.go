package http

import (
	"strconv"
	"testing"

	"mpush/sdk/packet/golden"
	"mpush/sdk/plugintest"
)

func TestGoldenExchanges(t *testing.T) {
	for _, e := range golden.Load(t, "http") {
		t.Run(e.Name, func(t *testing.T) {
			core := start(t, e.Config, plugintest.Options{Answer: e.Answer(t)})
			e.Play(t, core, map[string]golden.Party{"sender": &goldenSender{core: core}})
		})
	}
}

// goldenSender makes requests.
type goldenSender struct {
	core *plugintest.Core
	got  answer
}

// Say sends a request and waits for the answer.
func (s *goldenSender) Say(t testing.TB, text string) {
	t.Helper()
	message, err := golden.ParseHTTP(text)
	if err != nil {
		t.Fatalf("%v", err)
	}
	s.got = exchange(t, s.core, message.Raw("Host: mpush"))
}

// Hear compares the answer to the last request.
func (s *goldenSender) Hear(t testing.TB, text string) {
	t.Helper()
	want, err := golden.ParseHTTP(text)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if status := strconv.Itoa(s.got.status); status != want.Status() {
		t.Errorf("status %s, want %s", status, want.Status())
	}
	if err := want.Compare(s.got.header, s.got.body); err != nil {
		t.Errorf("%v", err)
	}
}
