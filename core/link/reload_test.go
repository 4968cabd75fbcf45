package link

import (
	"reflect"
	"testing"

	"mpush/core/engine"
	"mpush/sdk/pluginpb"
)

// changeToken makes another token the relay's, the engine knowing of it or not
// yet.
func (c *core) changeToken(to string, tell bool) {
	c.t.Helper()
	change, err := c.auth.Prepare(to, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	change()
	if !tell {
		return
	}
	if err := c.relay.Submit(c.t.Context(), &engine.Reconfigure{Epoch: c.auth.Epoch()}); err != nil {
		c.t.Fatal(err)
	}
}

func TestChangedTokenEvictsAndLetsInAnew(t *testing.T) {
	c := newCore(t)
	out := c.connect("out")
	out.say(attach(1, withToken(), "ann"))
	first := out.hear().GetSession()
	c.changeToken("another", true)
	if evict := out.hear().GetEvict(); evict.GetReceiver() != "ann" || evict.Generation != first.Generation || evict.Reason != "the token is no longer valid" {
		t.Fatalf("evicted %v", evict)
	}
	out.say(attach(2, withToken(), "ann"))
	if refused := out.hear().GetSession(); refused.GetError().GetCode() != pluginpb.ErrorCode_ERROR_CODE_UNAUTHENTICATED {
		t.Fatalf("the old token gets %v", refused)
	}
	out.say(publish(3, &pluginpb.Credentials{Auth: first.Auth}, "ann"))
	if refused := out.hear().GetPublished(); refused.GetError().GetCode() != pluginpb.ErrorCode_ERROR_CODE_UNAUTHENTICATED {
		t.Fatalf("the old session gets %v", refused)
	}
	out.say(attach(4, &pluginpb.Credentials{Token: "another"}, "ann"))
	if second := out.hear().GetSession(); second.GetError() != nil || second.GetGeneration() <= first.Generation {
		t.Fatalf("the new token gets %v", second)
	}
}

// An attach that was admitted with the old token and is answered after the
// change must not get a session of the new one.
func TestAdmissionWithTheOldTokenYieldsNoNewSession(t *testing.T) {
	c := newCore(t)
	out := c.connect("out")
	out.say(declare(1))
	out.hear()
	late := out.link.encodeAnswer(&engine.Answer{Body: engine.Attached{Name: "ann", Generation: 5, Epoch: c.auth.Epoch()}}).GetSession()
	if late.GetError() != nil || late.Auth == "" || late.Generation != 5 {
		t.Fatalf("in its epoch it gets %v", late)
	}
	epoch := c.auth.Epoch()
	c.changeToken("another", false)
	late = out.link.encodeAnswer(&engine.Answer{Body: engine.Attached{Name: "ann", Generation: 5, Epoch: epoch}}).GetSession()
	if late.GetError().GetCode() != pluginpb.ErrorCode_ERROR_CODE_UNAVAILABLE || late.Auth != "" || late.Generation != 0 {
		t.Fatalf("after its epoch it gets %v", late)
	}
}

func TestDrainingLinkIsAnsweredWithTheStatusesOfTheMoment(t *testing.T) {
	c := newCore(t)
	in, out := c.connect("in"), c.connect("out")
	out.say(attach(1, withToken(), "ann"))
	out.hear()
	send := publish(2, withToken(), "ann")
	send.GetPublish().WaitMs = 600_000
	in.say(send)
	out.hear()
	in.link.Drain(t.Context())
	if told := in.hear().GetPublished(); told.GetRequestId() != 2 || told.Statuses[0].Status != "wait" {
		t.Fatalf("told %v", told)
	}
}

func TestReplacedClaimsAreThoseOfTheChannelsThatAreNamed(t *testing.T) {
	s := NewSwitchboard()
	for channel, commands := range map[string][]string{"a": {"A1", "A2"}, "b": {"B"}, "c": {"C"}} {
		if err := s.Claim(channel, commands); err != nil {
			t.Fatal(err)
		}
		s.announce(channel, map[string][]byte{channel: []byte("1")})
	}
	// b is gone, a gives a command to the new d.
	s.Replace([]string{"a", "b", "d"}, map[string][]string{"a": {"A1"}, "d": {"A2"}})
	if got, want := s.Claims(), map[string][]string{"a": {"A1"}, "c": {"C"}, "d": {"A2"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("claims %v, expected %v", got, want)
	}
	if got := s.announced(); len(got) != 2 || got["b"] != nil {
		t.Errorf("announced %s", got)
	}
}
