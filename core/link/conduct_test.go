package link

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mpush/sdk/pluginpb"
)

// court is a Conduct with what it logs and of what it accuses.
type court struct {
	*Conduct
	mu      sync.Mutex
	text    bytes.Buffer
	accused []string
	more    chan struct{}
}

func newCourt(now func() time.Time) *court {
	c := &court{more: make(chan struct{}, 1000)}
	plain := slog.NewTextHandler(c, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	c.Conduct = NewConduct("x", slog.New(plain), now, func(what string) { c.accused = append(c.accused, what) })
	return c
}

func (c *court) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case c.more <- struct{}{}:
	default:
	}
	return c.text.Write(p)
}

func (c *court) lines() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Split(strings.TrimSpace(c.text.String()), "\n")
}

// await waits for a line with this text.
func (c *court) await(t *testing.T, text string) {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		if strings.Contains(strings.Join(c.lines(), "\n"), text) {
			return
		}
		select {
		case <-c.more:
		case <-timeout:
			t.Fatalf("no %q in %q", text, c.lines())
		}
	}
}

func TestEachViceIsLoggedOnceInTenSecondsWithItsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCourt(time.Now)
		for range 5 {
			for range 100 {
				c.note(AckedUngiven)
			}
			c.note(TakenName)
			time.Sleep(4 * time.Second)
		}
		c.flush()
		c.flush() // once more says nothing
		const acked, taken = `level=WARN msg="channel misbehaves" channel=x vice="acknowledged a message that it was not given" count=`,
			`level=WARN msg="channel misbehaves" channel=x vice="asked for a name that another channel holds" count=`
		want := []string{acked + "1", taken + "1", acked + "300", taken + "3", acked + "199", taken + "1"}
		if got := c.lines(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("logged\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		// What its clients may have wanted is no blemish.
		if got, want := strings.Join(c.accused, "|"), "acknowledged a message that it was not given (1 times so far)|"+
			"acknowledged a message that it was not given (301 times so far)|acknowledged a message that it was not given (500 times so far)"; got != want {
			t.Errorf("accused of %s", got)
		}
	})
}

func TestEveryViceHasItsWords(t *testing.T) {
	seen := make(map[string]bool)
	for v := range vices {
		if text := v.String(); text == "" || seen[text] {
			t.Errorf("vice %d is %q", v, text)
		} else {
			seen[text] = true
		}
	}
}

// connectJudged is connect with a court.
func (c *core) connectJudged(channel string, rights ...pluginpb.Right) (*peer, *court) {
	c.t.Helper()
	judge := newCourt(time.Now)
	p := c.prepare(channel, rights...)
	p.link.Conduct = judge.Conduct
	c.run(p)
	return p, judge
}

func TestLiesAreNamed(t *testing.T) {
	envelope := func(body any) *pluginpb.PluginEnvelope {
		switch body := body.(type) {
		case *pluginpb.Outcome:
			return &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Outcome{Outcome: body}}
		case *pluginpb.Confirm:
			return &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Confirm{Confirm: body}}
		case *pluginpb.CommandReply:
			return &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_CommandReply{CommandReply: body}}
		case *pluginpb.Register:
			return &pluginpb.PluginEnvelope{RequestId: 50, Body: &pluginpb.PluginEnvelope_Register{Register: body}}
		case *pluginpb.StatePut:
			return &pluginpb.PluginEnvelope{RequestId: 51, Body: &pluginpb.PluginEnvelope_StatePut{StatePut: body}}
		case *pluginpb.Announce:
			return &pluginpb.PluginEnvelope{RequestId: 52, Body: &pluginpb.PluginEnvelope_Announce{Announce: body}}
		default:
			return attach(53, withToken(), "ann")
		}
	}
	const acked = pluginpb.OutcomeKind_OUTCOME_KIND_ACKED
	for _, test := range []struct {
		name string
		body any
		want Vice
	}{
		{"no such message", &pluginpb.Outcome{Receiver: "own", Generation: 2, Mid: 1 << 50, Kind: acked}, AckedUngiven},
		{"a message behind the head", &pluginpb.Outcome{Receiver: "own", Generation: 2, Mid: -1, Kind: acked}, AckedUngiven},
		{"another's receiver", &pluginpb.Outcome{Receiver: "ann", Generation: 1, Mid: 1, Kind: acked}, ForeignReceiver},
		{"another's receiver is gone", &pluginpb.Outcome{Receiver: "ann", Generation: 1, Mid: 1, Kind: pluginpb.OutcomeKind_OUTCOME_KIND_GONE}, ForeignReceiver},
		{"vouches for another's receiver", &pluginpb.Confirm{Receiver: "ann", Mid: 1}, ForeignReceiver},
		{"nobody's command", &pluginpb.CommandReply{Id: 7}, UnaskedReply},
		{"no command", &pluginpb.CommandReply{}, UnaskedReply},
		{"another's receiver, registered", &pluginpb.Register{Receiver: "ann"}, Uninvited},
		{"a large entry", &pluginpb.StatePut{Key: "k", Value: make([]byte, maxStateValue+1)}, OverLimit},
		{"a large announcement", &pluginpb.Announce{Fields: map[string][]byte{"k": []byte(`"` + strings.Repeat("x", maxAnnounced) + `"`)}}, OverLimit},
		{"another's name", nil, TakenName},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCore(t)
			out := c.connect("out")
			out.say(attach(1, withToken(), "ann"))
			out.hear()
			liar, judge := c.connectJudged("liar")
			liar.say(attach(1, withToken(), "own"))
			liar.hear()
			liar.say(publish(0, withToken(), "own"), publish(2, withToken(), "own"))
			var second int64
			for second == 0 {
				second = liar.hear().GetPublished().GetMid()
			}
			if o, is := test.body.(*pluginpb.Outcome); is && o.Mid < 0 {
				o.Mid = second
			}
			liar.say(envelope(test.body))
			judge.await(t, fmt.Sprintf("channel=x vice=%q count=1", test.want))
			if s := c.relay.Stats(); s.Acked+s.HandedOff+s.Dead != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// What a receiver says is the receiver's lie, and what may be late is none.
func TestHonestPluginsAreNotNamed(t *testing.T) {
	c := newCore(t)
	in := c.connect("in")
	honest, judge := c.connectJudged("push")
	if err := c.board.Claim("push", []string{"SUBSCRIBE"}); err != nil {
		t.Fatal(err)
	}
	session, err := c.auth.Issue("ann", "")
	if err != nil {
		t.Fatal(err)
	}
	honest.say(attach(1, withToken(), "ann"))
	generation := honest.hear().GetSession().GetGeneration()
	in.say(&pluginpb.PluginEnvelope{RequestId: 1, Body: &pluginpb.PluginEnvelope_Command{Command: &pluginpb.ClientCommand{
		Credentials: &pluginpb.Credentials{Auth: session}, Command: "SUBSCRIBE",
	}}})
	asked := honest.hear().GetCommand()
	close(in.plugin.toCore) // the asker is gone before the answer
	gone := <-in.ended
	in.ended <- gone
	honest.say(
		&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_CommandReply{CommandReply: &pluginpb.CommandReply{Id: asked.GetId()}}},
		&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Outcome{Outcome: &pluginpb.Outcome{
			Receiver: "ann", Generation: generation, Mid: 5, Kind: pluginpb.OutcomeKind_OUTCOME_KIND_ACKED, Late: true,
		}}},
		&pluginpb.PluginEnvelope{RequestId: 2, Body: &pluginpb.PluginEnvelope_Confirm{Confirm: &pluginpb.Confirm{
			Credentials: &pluginpb.Credentials{Auth: session}, Mid: 6,
		}}},
	)
	honest.hear()
	for id, name := range []string{"bob", "eve"} { // the second is stored when what was looked up before the first is found
		honest.say(attach(uint64(3+id), withToken(), name))
		honest.hear()
	}
	close(honest.plugin.toCore)
	gone = <-honest.ended
	honest.ended <- gone
	if s := c.relay.Stats(); s.UnsentAcks != 2 {
		t.Errorf("stats %+v", s)
	}
	if got := judge.lines(); fmt.Sprint(got) != "[]" {
		t.Errorf("logged %q", got)
	}
}

// A registration may be under way when the command that it is for has ended
// without its answer.
func TestLateRegistrationIsRefusedAndNoLie(t *testing.T) {
	for name, end := range map[string]func(c *core, asker *peer, credentials *pluginpb.Credentials){
		"unregistered": func(_ *core, asker *peer, credentials *pluginpb.Credentials) {
			asker.say(&pluginpb.PluginEnvelope{RequestId: 2, Body: &pluginpb.PluginEnvelope_Unregister{Unregister: &pluginpb.Unregister{Credentials: credentials}}})
			asker.hear()
			asker.hear()
		},
		"its asker is gone": func(_ *core, asker *peer, _ *pluginpb.Credentials) {
			close(asker.plugin.toCore)
			gone := <-asker.ended
			asker.ended <- gone
		},
		"not answered in time": func(c *core, asker *peer, _ *pluginpb.Credentials) {
			c.board.expire(1)
			asker.hear()
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCore(t)
			if err := c.board.Claim("push", []string{"SUBSCRIBE"}); err != nil {
				t.Fatal(err)
			}
			asker := c.connect("in")
			push, judge := c.connectJudged("push")
			push.say(attach(1, withToken(), "own"))
			push.hear() // its stream is open
			session, err := c.auth.Issue("ann", "")
			if err != nil {
				t.Fatal(err)
			}
			credentials := &pluginpb.Credentials{Auth: session}
			asker.say(&pluginpb.PluginEnvelope{RequestId: 1, Body: &pluginpb.PluginEnvelope_Command{Command: &pluginpb.ClientCommand{Credentials: credentials, Command: "SUBSCRIBE"}}})
			asked := push.hear().GetCommand().GetId()
			end(c, asker, credentials)
			register := func(id uint64) {
				t.Helper()
				push.say(&pluginpb.PluginEnvelope{RequestId: id, Body: &pluginpb.PluginEnvelope_Register{Register: &pluginpb.Register{Receiver: "ann"}}})
				if d := push.hear().GetDone(); d.GetError().GetCode() != pluginpb.ErrorCode_ERROR_CODE_FORBIDDEN {
					t.Errorf("answered with %v", d)
				}
			}
			register(2)
			if got := strings.Join(judge.lines(), ""); strings.Contains(got, Uninvited.String()) {
				t.Errorf("logged %q", got)
			}
			push.say(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_CommandReply{CommandReply: &pluginpb.CommandReply{Id: asked}}})
			register(3)
			judge.await(t, Uninvited.String())
			if got := strings.Join(judge.lines(), ""); strings.Contains(got, UnaskedReply.String()) {
				t.Errorf("logged %q", got)
			}
			if push.link.calls != 0 || push.link.overdue != 0 || len(push.link.serving) != 0 || len(c.board.calls) != 0 {
				t.Errorf("left behind: %+v", c.board.calls)
			}
		})
	}
}

func TestOverdueCommandsAreBounded(t *testing.T) {
	board, from, to := NewSwitchboard(), New(Options{Channel: "in"}), New(Options{Channel: "push"})
	board.connect(to)
	if err := board.Claim("push", []string{"SUBSCRIBE"}); err != nil {
		t.Fatal(err)
	}
	for range 2 * maxCalls {
		command := &pluginpb.ClaimedCommand{Command: "SUBSCRIBE", Receiver: "ann"}
		board.call(from, 0, caller{}, command)
		board.expire(command.Id)
	}
	if len(board.calls) != maxCalls || len(to.serving["ann"]) != maxCalls || to.calls != 0 {
		t.Errorf("%d calls, %d of the receiver", len(board.calls), len(to.serving["ann"]))
	}
	board.disconnect(to)
	if len(board.calls) != 0 || len(to.serving) != 0 {
		t.Errorf("%d calls are left", len(board.calls))
	}
}
