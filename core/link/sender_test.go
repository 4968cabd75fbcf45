package link

import (
	"strings"
	"testing"

	"mpush/sdk/pluginpb"
)

func TestSendersTTLIsWholeSecondsOfExtra(t *testing.T) {
	for extra, want := range map[string]int64{
		``: 0, `{}`: 0, `{"a":1}`: 0, `{"ttl":60}`: 60_000, `{"ttl":"60"}`: 60_000, `{"ttl":6e1}`: 60_000, ` { "a" : {} , "ttl" : 1 } `: 1000,
		// What is no such time is the receivers' affair.
		`{"ttl":0}`: 0, `{"ttl":-5}`: 0, `{"ttl":1.5}`: 0, `{"ttl":"1h"}`: 0, `{"ttl":""}`: 0, `{"ttl":" 5"}`: 0, `{"ttl":null}`: 0, `{"ttl":true}`: 0,
		`{"ttl":[60]}`: 0, `{"ttl":{"ttl":60}}`: 0, `{"a":{"ttl":60}}`: 0, `{"a":"\"ttl\":60"}`: 0, `{"TTL":60,"a":"ttl"}`: 0,
		`{"ttl":"x","TTL":60}`: 0, `{"ttl":5,"Ttl":60}`: 5000, `{"ttl":5,"ttl":60}`: 60_000, // of a repeated key the last counts
		`{"ttl":3153600000}`: 3_153_600_000_000, `{"ttl":3153600001}`: 0, `{"ttl":1e300}`: 0, `{"ttl":"99999999999999999999"}`: 0, `{"ttl":5`: 0,
	} {
		if got := sendersTTL([]byte(extra)); got != want {
			t.Errorf("%s: %d ms, want %d", extra, got, want)
		}
	}
}

func TestKeyIsItsSendersAndStandsForOneMessage(t *testing.T) {
	base := func() *pluginpb.Publish {
		return &pluginpb.Publish{
			Credentials: &pluginpb.Credentials{Remote: "192.0.2.1"}, SendType: pluginpb.SendType_SEND_TYPE_PERSONAL,
			Target: "ann", Text: "a", Desp: "b", Extra: []byte(`{"c":1}`), IdempotencyKey: "k", WaitMs: 5,
		}
	}
	key := sendersKey(base(), "bob")
	if key.Name != "k" || key.Digest == "" || strings.Contains(key.Digest, "ann") {
		t.Errorf("%+v", key)
	}
	for what, other := range map[string]func(*pluginpb.Publish){
		"group":           func(p *pluginpb.Publish) { p.SendType = pluginpb.SendType_SEND_TYPE_GROUP },
		"target":          func(p *pluginpb.Publish) { p.Target = "cid" },
		"text":            func(p *pluginpb.Publish) { p.Text = "x" },
		"desp":            func(p *pluginpb.Publish) { p.Desp = "x" },
		"extra":           func(p *pluginpb.Publish) { p.Extra = []byte(`{"c":2}`) },
		"where they part": func(p *pluginpb.Publish) { p.Text, p.Desp = "ab", "" },
	} {
		p := base()
		other(p)
		if got := sendersKey(p, "bob"); got.Digest == key.Digest || got.Sender != key.Sender {
			t.Errorf("another %s: %+v, the first was %+v", what, got, key)
		}
	}
	again := base()
	again.WaitMs, again.Credentials = 60_000, &pluginpb.Credentials{Remote: "198.51.100.7", Auth: "a newer session"}
	if got := sendersKey(again, "bob"); got != key {
		t.Errorf("the same name from elsewhere: %+v, want %+v", got, key)
	}
	senders := map[string]bool{key.Sender: true}
	for _, p := range []struct{ remote, name string }{{"192.0.2.1", "cid"}, {"192.0.2.1", ""}, {"192.0.2.2", ""}, {"192.0.2.1", "192.0.2.1"}} {
		other := base()
		other.Credentials.Remote = p.remote
		got := sendersKey(other, p.name)
		if senders[got.Sender] || got.Digest != key.Digest {
			t.Errorf("%+v: %+v", p, got)
		}
		senders[got.Sender] = true
	}
	none := base()
	none.IdempotencyKey = ""
	if got := sendersKey(none, "bob"); got.Name != "" || got.Sender != "" || got.Digest != "" {
		t.Errorf("without a key: %+v", got)
	}
}

func TestKeyThatIsNoneIsRefused(t *testing.T) {
	c := newCore(t)
	p := c.connect("p")
	for i, row := range []struct {
		key string
		ok  bool
	}{{"", true}, {"k", true}, {strings.Repeat("k", 256), true}, {"ключ 1", true}, {strings.Repeat("k", 257), false}, {"a\nb", false}, {"\x00", false}} {
		send := publish(uint64(i+1), withToken(), "nobody")
		send.GetPublish().IdempotencyKey = row.key
		p.say(send)
		problem := p.hear().GetPublished().GetError()
		if row.ok != (problem == nil) || !row.ok && (problem.GetCode() != pluginpb.ErrorCode_ERROR_CODE_INVALID || !strings.HasPrefix(problem.GetMessage(), "idempotency key: ")) {
			t.Errorf("key %q: %v", row.key, problem)
		}
	}
}

func getStatus(id uint64, c *pluginpb.Credentials, mid int64) *pluginpb.PluginEnvelope {
	return &pluginpb.PluginEnvelope{RequestId: id, Body: &pluginpb.PluginEnvelope_GetStatus{GetStatus: &pluginpb.GetStatus{Credentials: c, Mid: mid}}}
}

func TestWhoMayAskForAStatus(t *testing.T) {
	c := newCore(t)
	out, p := c.connect("out"), c.connect("p", pluginpb.Right_RIGHT_ACCEPT_WITHOUT_TOKEN)
	out.say(attach(1, withToken(), "ann"))
	out.hear()
	bob, err := c.auth.Issue("bob", "")
	if err != nil {
		t.Fatal(err)
	}
	cid, err := c.auth.Issue("cid", "")
	if err != nil {
		t.Fatal(err)
	}
	p.say(publish(2, &pluginpb.Credentials{Auth: bob}, "ann"))
	mid := p.hear().GetPublished().GetMid()
	const in, none, no = pluginpb.ErrorCode_ERROR_CODE_UNSPECIFIED, pluginpb.ErrorCode_ERROR_CODE_NOT_FOUND, pluginpb.ErrorCode_ERROR_CODE_UNAUTHENTICATED
	for _, row := range []struct {
		who         string
		credentials *pluginpb.Credentials
		want        pluginpb.ErrorCode
	}{
		{"the token", withToken(), in},
		{"its sender", &pluginpb.Credentials{Auth: bob}, in},
		{"its sender, in both places", &pluginpb.Credentials{Auth: bob, Token: bob}, in},
		{"the token, in both places", &pluginpb.Credentials{Auth: token, Token: token}, in},
		{"another sender", &pluginpb.Credentials{Auth: cid}, none},
		{"another sender, in both places", &pluginpb.Credentials{Auth: cid, Token: cid}, none},
		{"a wrong token", &pluginpb.Credentials{Token: "wrong"}, no},
		{"a wrong session", &pluginpb.Credentials{Auth: bob + "x"}, no},
		{"a wrong one in both places", &pluginpb.Credentials{Auth: "wrong", Token: "wrong"}, no},
		{"nobody", &pluginpb.Credentials{}, no},
		{"nobody at all", nil, no},
		{"who may send without a token", &pluginpb.Credentials{Trusted: true}, no},
	} {
		p.say(getStatus(7, row.credentials, mid))
		result := p.hear().GetPublished()
		if result.GetRequestId() != 7 || result.GetError().GetCode() != row.want {
			t.Errorf("%s: %v, want %v", row.who, result, row.want)
		}
		if row.want == in && (result.GetMid() != mid || len(result.Statuses) != 1 || result.Statuses[0].Receiver != "ann") {
			t.Errorf("%s: %v", row.who, result)
		}
	}
	p.say(getStatus(8, withToken(), mid+1))
	if result := p.hear().GetPublished(); result.GetError().GetCode() != none {
		t.Errorf("another mid: %v", result)
	}
}
