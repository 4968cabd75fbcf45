package core

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"mpush/core/supervisor"
)

// doors are tokens for the receivers of these names, a socket for them, and
// channels that hang.
func doors(tokens []string, stuck ...string) string {
	var entries []string
	for _, name := range tokens {
		entries = append(entries, fmt.Sprintf(`{"name": %q, "token": "the token of %s", "rights": ["receive"], "names": [%q]}`, name, name, name))
	}
	plugins := []string{fmt.Sprintf(`"socket": {"path": %q, "args": ["channel", "socket"], "env": ["GORACE"], "unpinned": true,
		"rights": ["accept-without-token"], "config": {"host": "127.0.0.1", "port": 0}}`, os.Args[0])}
	for _, name := range stuck {
		plugins = append(plugins, fmt.Sprintf(`%q: {"path": %q, "args": ["channel", "stuck"], "env": ["GORACE"], "unpinned": true}`, name, os.Args[0]))
	}
	more := `, "plugins": {` + strings.Join(plugins, ", ") + `}`
	if len(tokens) > 0 {
		more = `, "tokens": [` + strings.Join(entries, ", ") + `]` + more
	}
	return more
}

// enter connects the receiver of a token.
func (s *serving) enter(name string) *websocket.Conn {
	s.t.Helper()
	conn, _, err := websocket.DefaultDialer.DialContext(s.t.Context(), "ws://"+s.status("socket").Endpoints[0], nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		s.t.Fatal(err)
	}
	hello := fmt.Sprintf(`{"cmd":"AUTH","data":{"token":"the token of %s","name":%q}}`, name, name)
	if err := conn.WriteMessage(websocket.TextMessage, []byte(hello)); err != nil {
		s.t.Fatal(err)
	}
	if _, answer, err := conn.ReadMessage(); err != nil || !strings.Contains(string(answer), `"code":200`) {
		s.t.Fatalf("%s is let in with %s, %v", name, answer, err)
	}
	return conn
}

// turnedOut waits until the connection's token is good no more.
func (s *serving) turnedOut(conn *websocket.Conn) {
	s.t.Helper()
	if _, got, err := conn.ReadMessage(); !websocket.IsCloseError(err, websocket.ClosePolicyViolation) {
		s.t.Fatalf("the connection goes on with %s, %v", got, err)
	}
}

func (s *serving) hangs(channel string) {
	s.t.Helper()
	if got := s.status(channel); got.State != supervisor.Starting {
		s.t.Fatalf("too late: %s is %+v", channel, got)
	}
}

func TestReloadDoesNotWaitForAChannelThatHangs(t *testing.T) {
	s := serve(t, doors([]string{"ann", "bob", "cid"}))
	ann, bob, cid := s.enter("ann"), s.enter("bob"), s.enter("cid")
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
	s.turnedOut(cid)
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
	s.turnedOut(bob)
	s.hangs("stuck")
	if err := ann.WriteMessage(websocket.TextMessage, []byte(`{"cmd":"MESSAGE_CALLBACK","data":{"mid":"1"}}`)); err != nil {
		t.Errorf("who may stay has lost the connection: %v", err)
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
	hanging := reload(doors(nil, "stuck", "taker"), Changes{Added: []string{"socket", "stuck", "taker"}})
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		s.Await(t.Context(), hanging)
	}()
	s.log.await(t, "it hangs")
	reload(doors(nil, "taker"), Changes{Removed: []string{"stuck"}})
	s.hangs("taker")
	mended := reload(taking("taker"), Changes{Changed: []string{"taker"}, Removed: []string{"socket"}})
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
	s.Core.Await(t.Context(), &Changes{Added: []string{"socket"}})
	ann := s.enter("ann")
	if _, err := c.Reload(t.Context(), load(t, s.path, s.text(5000, doors([]string{"bob"}, "stuck")))); err != nil {
		t.Fatal(err)
	}
	s.turnedOut(ann)
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
