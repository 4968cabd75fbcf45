package link

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"mpush/sdk/pluginpb"
)

// FuzzFrames has a plugin without rights say whatever bytes mean, twice, while
// another holds a message in flight for "ann". Nothing panics or blocks, nobody
// gets in without credentials, and ann's message stays as it is.
func FuzzFrames(f *testing.F) {
	for _, seed := range frames() {
		text, err := proto.Marshal(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		frame := &pluginpb.PluginFrame{}
		if proto.Unmarshal(text, frame) != nil || declares(frame, "ann") {
			t.Skip("gRPC takes no such frame, or the operator has made the route")
		}
		c := newCore(t)
		out, liar := c.connect("out"), c.connect("liar")
		out.say(attach(1, withToken(), "ann"))
		out.hear()
		out.say(publish(0, withToken(), "ann"))
		deliver := out.hear().GetDeliver()
		for deliver == nil {
			deliver = out.hear().GetDeliver()
		}
		aim(frame, deliver.Message.Mid)
		open := liar.tell(frame)
		open = open && liar.tell(frame)
		if open {
			liar.fence()
		}
		out.say(publish(fenceID, withToken(), "nobody"))
		for {
			answer := out.hear()
			if answer.GetEvict() != nil || answer.GetRecall() != nil {
				t.Fatalf("ann's route suffers: %v", answer)
			}
			if answer.GetPublished().GetRequestId() == fenceID {
				break
			}
		}
		if s := c.relay.Stats(); s.Accepted != 1 || s.Acked+s.HandedOff+s.Dead != 0 {
			t.Fatalf("stats %+v", s)
		}
	})
}

const fenceID = 1 << 63

// frames has an envelope of every kind: with credentials that are none, without
// any, and with fields that make no sense.
func frames() []*pluginpb.PluginFrame {
	var envelopes []*pluginpb.PluginEnvelope
	add := func(bodies ...*pluginpb.PluginEnvelope) {
		for _, e := range bodies {
			e.RequestId = uint64(len(envelopes))
			envelopes = append(envelopes, e)
		}
	}
	policy := &pluginpb.Policy{Exclusive: true, Prefetch: 1 << 31, ResendMs: 1, RetryMs: 1 << 31}
	for _, c := range []*pluginpb.Credentials{nil, {Trusted: true}, {Token: "wrong", Remote: "127.0.0.1"}, {Auth: "e30.e30.e30"}} {
		add(
			&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Publish{Publish: &pluginpb.Publish{Credentials: c, SendType: 1, Target: "ann", Text: "t", Desp: "d", Extra: []byte(`{"a":1}`), WaitMs: 1 << 31}}},
			&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Publish{Publish: &pluginpb.Publish{Credentials: c, SendType: 9, Extra: []byte("[")}}},
			&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Authenticate{Authenticate: &pluginpb.Authenticate{Credentials: c, Name: "ann", Group: "g"}}},
			&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Attach{Attach: &pluginpb.Attach{Credentials: c, Name: "ann", Group: "g", Policy: policy, Address: []byte("a")}}},
			&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Unregister{Unregister: &pluginpb.Unregister{Credentials: c}}},
			&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Confirm{Confirm: &pluginpb.Confirm{Credentials: c, Mid: 1}}},
			&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Command{Command: &pluginpb.ClientCommand{Credentials: c, Command: "AUTH", Data: []byte("{}")}}},
			&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_CheckToken{CheckToken: &pluginpb.CheckToken{Credentials: c}}},
		)
	}
	add(
		&pluginpb.PluginEnvelope{},
		&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Declare{Declare: &pluginpb.Declare{Routes: []*pluginpb.DeclaredRoute{{Receiver: "bob", Group: "g", Policy: policy}, {Receiver: "bob"}, {Receiver: "a\x00"}}}}},
		&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Declare{Declare: &pluginpb.Declare{}}},
		&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Detach{Detach: &pluginpb.Detach{Receiver: "ann", Generation: 1}}},
		&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Register{Register: &pluginpb.Register{Receiver: "ann", Policy: policy, Address: []byte("a")}}},
		&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Confirm{Confirm: &pluginpb.Confirm{Receiver: "ann", Mid: 1, HandoffOnly: true}}},
		&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Announce{Announce: &pluginpb.Announce{Fields: map[string][]byte{"key": []byte(`"k"`), "": []byte("{")}}}},
		&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_StateGet{StateGet: &pluginpb.StateGet{Prefix: "a"}}},
		&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_StatePut{StatePut: &pluginpb.StatePut{Key: "a/b", Value: []byte("v")}}},
		&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_CommandReply{CommandReply: &pluginpb.CommandReply{Id: 1, Info: "i", Error: &pluginpb.Error{Code: 99}}}},
	)
	for kind := range pluginpb.OutcomeKind_name {
		for _, late := range []bool{false, true} {
			add(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Outcome{Outcome: &pluginpb.Outcome{
				Receiver: "ann", Generation: 1, Mid: 1, Kind: pluginpb.OutcomeKind(kind), RetryAfterMs: 1 << 31, Error: "e", Late: late,
			}}})
		}
	}
	all := []*pluginpb.PluginFrame{{}, {Envelopes: envelopes}}
	for _, e := range envelopes {
		all = append(all, &pluginpb.PluginFrame{Envelopes: []*pluginpb.PluginEnvelope{e}})
	}
	return all
}

// declares tells whether a frame names a receiver as configured: plugins may.
func declares(frame *pluginpb.PluginFrame, receiver string) bool {
	return slices.ContainsFunc(frame.Envelopes, func(e *pluginpb.PluginEnvelope) bool {
		return slices.ContainsFunc(e.GetDeclare().GetRoutes(), func(r *pluginpb.DeclaredRoute) bool { return r.Receiver == receiver })
	})
}

// aim puts the mid of the message in flight where a frame has 1, which no amount
// of guessing finds.
func aim(frame *pluginpb.PluginFrame, mid int64) {
	for _, e := range frame.Envelopes {
		if o := e.GetOutcome(); o != nil && o.Mid == 1 {
			o.Mid = mid
		}
		if c := e.GetConfirm(); c != nil && c.Mid == 1 {
			c.Mid = mid
		}
	}
}

// tell says a frame and hears what comes meanwhile. It reports false if the
// stream has ended.
func (p *peer) tell(frame *pluginpb.PluginFrame) bool {
	p.t.Helper()
	for patience := time.After(30 * time.Second); ; {
		select {
		case p.plugin.toCore <- frame:
			return true
		case answers := <-p.plugin.toUs:
			p.judge(answers)
		case err := <-p.ended:
			p.ended <- err
			return false
		case <-patience:
			p.t.Fatal("the link does not read")
		}
	}
}

// fence waits until all that was told before has gone through the relay.
func (p *peer) fence() {
	p.t.Helper()
	if !p.tell(&pluginpb.PluginFrame{Envelopes: []*pluginpb.PluginEnvelope{publish(fenceID, withToken(), "nobody")}}) {
		return
	}
	for patience := time.After(30 * time.Second); ; {
		select {
		case answers := <-p.plugin.toUs:
			if p.judge(answers) {
				return
			}
		case err := <-p.ended:
			p.ended <- err
			return
		case <-patience:
			p.t.Fatal("a good request has no answer")
		}
	}
}

// judge fails the test if somebody was let in, and reports whether the fence was
// answered.
func (p *peer) judge(frame *pluginpb.CoreFrame) (fenced bool) {
	p.t.Helper()
	for _, e := range frame.Envelopes {
		published := e.GetPublished()
		if published.GetRequestId() == fenceID {
			fenced = true
			continue
		}
		letIn := published != nil && published.Error == nil ||
			e.GetSession() != nil && e.GetSession().Error == nil ||
			e.GetCommandResult() != nil && e.GetCommandResult().Error == nil ||
			e.GetDeliver() != nil || e.GetCommand() != nil
		if letIn {
			p.t.Fatalf("let in: %v", e)
		}
	}
	return fenced
}
