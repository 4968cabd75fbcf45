package webpush

import (
	"errors"
	"strings"
	"testing"

	"mpush/sdk/pluginpb"
	"mpush/test/fakepush"
)

func TestPulse(t *testing.T) {
	fault := errors.New("status 403")
	for name, row := range map[string]struct {
		beats string // a receiver each, in upper case where the push failed
		sick  bool
	}{
		"nothing yet":                      {"", false},
		"a few failures":                   {"AB", false},
		"everybody fails":                  {"ABC", true},
		"the only one fails":               {"AAA", true},
		"one of several fails":             {"abAAAA", false},
		"all fail after a while":           {"abAAB", true},
		"one gets through":                 {"ABCd", false},
		"a failure after one got through":  {"ABCdA", false},
		"the only one fails after success": {"aAAA", true},
	} {
		var p pulse
		for _, beat := range strings.Split(row.beats, "") {
			if receiver := strings.ToLower(beat); receiver == beat {
				p.beat(receiver, nil)
			} else {
				p.beat(receiver, fault)
			}
		}
		if err := p.health(); (err != nil) != row.sick || err != nil && !errors.Is(err, fault) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHealthTellsWhyNothingGetsThrough(t *testing.T) {
	c := start(t, "")
	c.subscribe("phone")
	c.subscribe("tablet")
	c.service.Script(fakepush.Answer{Status: 500}, fakepush.Answer{Status: 500}, fakepush.Answer{Status: 403, Body: "bad key"})
	for _, receiver := range []string{"phone", "tablet", "phone"} {
		if err := c.Health(); err != nil {
			t.Errorf("health: %v", err)
		}
		c.expect(c.Deliver(receiver, &pluginpb.Message{}), retry)
	}
	want := `the last 3 pushes have failed: push service "127.0.0.1": status 403: bad key`
	if err := c.Health(); err == nil || err.Error() != want {
		t.Errorf("health: %v", err)
	}
	c.expect(c.Deliver("phone", &pluginpb.Message{}), handedOff)
	if err := c.Health(); err != nil {
		t.Errorf("health: %v", err)
	}
}
