package core

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"mpush/core/supervisor"
	"mpush/sdk"
)

// doors are tokens for the receivers of these names, a door for them, and
// channels that hang.
func doors(tokens []string, stuck ...string) string {
	var entries []string
	for _, name := range tokens {
		entries = append(entries, fmt.Sprintf(`{"name": %q, "token": %q, "rights": ["receive"], "names": [%q]}`, name, tokenOf(name), name))
	}
	plugins := []string{fmt.Sprintf(`"door": {"path": %q, "args": ["channel", "door"], "env": ["GORACE"], "unpinned": true,
		"rights": ["accept-without-token"]}`, os.Args[0])}
	for _, name := range stuck {
		plugins = append(plugins, fmt.Sprintf(`%q: {"path": %q, "args": ["channel", "stuck"], "env": ["GORACE"], "unpinned": true}`, name, os.Args[0]))
	}
	more := `, "plugins": {` + strings.Join(plugins, ", ") + `}`
	if len(tokens) > 0 {
		more = `, "tokens": [` + strings.Join(entries, ", ") + `]` + more
	}
	return more
}

// letIn waits until the door has let somebody in, and turnedOut until the token is
// good no more.
func (s *serving) letIn(names ...string) {
	s.t.Helper()
	for _, name := range names {
		s.log.await(s.t, name+" is in")
	}
}

func (s *serving) turnedOut(name string) {
	s.t.Helper()
	s.log.await(s.t, fmt.Sprintf("%s is out: %v", name, sdk.TokenEnded))
}

func (s *serving) hangs(channel string) {
	s.t.Helper()
	if got := s.status(channel); got.State != supervisor.Starting {
		s.t.Fatalf("too late: %s is %+v", channel, got)
	}
}

func TestReloadDoesNotWaitForAChannelThatHangs(t *testing.T) {
	s := serve(t, doors([]string{"ann", "bob", "cid"}))
	s.letIn("ann", "bob", "cid")
	reload := func(more string) {
		if _, err := s.Reload(t.Context(), load(t, s.path, s.text(5000, more))); err != nil {
			t.Error(err)
		}
	}
	first := make(chan struct{})
	go func() {
		defer close(first)
		reload(doors([]string{"ann", "bob", "cid"}, "stuck"))
	}()
	s.log.await(t, "it hangs")
	reload(doors([]string{"ann", "bob"}, "stuck"))
	s.turnedOut("cid")
	s.hangs("stuck")
	<-first

	// A token that ends by itself does not wait for a reload that takes long.
	s.reloading.Lock()
	defer s.reloading.Unlock()
	cfg := load(t, s.path, s.text(5000, doors([]string{"ann"}, "stuck")))
	change, err := s.auth.Prepare(cfg.Token.Reveal(), cfg.AuthTTL, tokensOf(cfg)...)
	if err != nil {
		t.Fatal(err)
	}
	change()
	s.turnedOut("bob")
	s.hangs("stuck")
	if strings.Contains(s.log.String(), "ann is out") {
		t.Error("who may stay was turned out")
	}
}

func TestChannelThatHangsIsChangedAndRemoved(t *testing.T) {
	s := serve(t, "")
	reload := func(more string, want Changes) *Changes {
		t.Helper()
		got, err := s.Reload(t.Context(), load(t, s.path, s.text(5000, more)))
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(*got) != fmt.Sprint(want) {
			t.Fatalf("changes %+v, expected %+v", *got, want)
		}
		return got
	}
	hanging := reload(doors(nil, "stuck", "taker"), Changes{Added: []string{"door", "stuck", "taker"}})
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		s.Await(t.Context(), hanging)
	}()
	s.log.await(t, "it hangs")
	reload(doors(nil, "taker"), Changes{Removed: []string{"stuck"}})
	s.hangs("taker")
	mended := reload(taking("taker"), Changes{Changed: []string{"taker"}, Removed: []string{"door"}})
	<-waited
	s.Await(t.Context(), mended)
	if got := s.send(); !strings.Contains(got, `"box":"ok"`) {
		t.Errorf("answer %s", got)
	}
}

func TestRelayThatStartsReloadsWhileAChannelHangs(t *testing.T) {
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	s := &serving{t: t, in: section(t, 0), log: &journal{}}
	o := options(t, s.text(5000, doors([]string{"ann", "bob"}, "stuck")), s.log)
	s.path = o.Config.Path
	c, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	s.Core = c
	ctx, cancel := context.WithCancel(context.Background())
	serving, started, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- c.Run(ctx, func() { close(serving) }, func([]supervisor.Status) { close(started) })
	}()
	defer func() {
		cancel()
		if err := errors.Join(<-ended, c.Close()); err != nil {
			t.Error(err)
		}
	}()
	<-serving
	if s.status(s.in).State != supervisor.Running {
		t.Errorf("it serves with %+v", s.status(s.in))
	}
	s.log.await(t, "it hangs")
	s.Core.Await(t.Context(), &Changes{Added: []string{"door"}})
	s.letIn("ann")
	if _, err := c.Reload(t.Context(), load(t, s.path, s.text(5000, doors([]string{"bob"}, "stuck")))); err != nil {
		t.Fatal(err)
	}
	s.turnedOut("ann")
	s.hangs("stuck")
	select {
	case <-started:
		t.Error("a channel hangs, and all have started")
	default:
	}
	if _, err := c.Reload(t.Context(), load(t, s.path, s.text(5000, ""))); err != nil {
		t.Fatal(err)
	}
	<-started // whoever hung is gone
}
