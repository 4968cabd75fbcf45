package link

import (
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"mpush/core/guard"
	"mpush/sdk/pluginpb"
)

// guarded lets a peer be one whose clients are held to limits. Nothing was said
// to it yet.
func (p *peer) guarded(limits guard.Limits) *peer {
	p.link.Guard = guard.New(limits, slog.New(slog.DiscardHandler), time.Now)
	return p
}

// remote is a client with a token.
func remote(address, token string) *pluginpb.Credentials {
	return &pluginpb.Credentials{Token: token, Remote: address}
}

func TestPublishRateIsRefusedWithTheLimitsName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t)
		p := c.connect("p").guarded(guard.Limits{PublishRate: 1, PublishBurst: 2})
		p.say(publish(1, remote("192.0.2.1", token), "nobody"), publish(2, remote("192.0.2.1", token), "nobody"),
			publish(3, remote("192.0.2.1", token), "nobody"), publish(4, remote("192.0.2.2", token), "nobody"))
		answers := make(map[uint64]*pluginpb.Error)
		for range 4 {
			result := p.hear().GetPublished()
			answers[result.GetRequestId()] = result.GetError()
		}
		refused := answers[3]
		if refused.GetCode() != pluginpb.ErrorCode_ERROR_CODE_LIMIT || refused.GetMessage() != "limits.publishRate: too many messages from this address, try again in 1 s" ||
			refused.GetRetryAfterMs() == 0 || refused.GetRetryAfterMs() > 1000 {
			t.Errorf("beyond the burst: %v", refused)
		}
		if answers[1] != nil || answers[2] != nil || answers[4] != nil {
			t.Errorf("others: %v", answers)
		}
	})
}

func TestNameOfTheSessionIsHeldToTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t)
		p := c.connect("p").guarded(guard.Limits{PublishRate: 1, PublishBurst: 1})
		ann, err := c.auth.Issue("ann", "")
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []pluginpb.ErrorCode{0, pluginpb.ErrorCode_ERROR_CODE_LIMIT} {
			p.say(publish(uint64(i+1), &pluginpb.Credentials{Auth: ann, Remote: fmt.Sprintf("192.0.2.%d", i)}, "nobody"))
			if got := p.hear().GetPublished().GetError(); got.GetCode() != want {
				t.Errorf("message %d: %v", i, got)
			}
		}
	})
}

// Every way to show a token counts, and a session that holds is no such way.
func TestWrongTokensAreCountedHoweverTheyCome(t *testing.T) {
	for name, ask := range map[string]func(c *pluginpb.Credentials) *pluginpb.PluginEnvelope{
		"publish": func(c *pluginpb.Credentials) *pluginpb.PluginEnvelope { return publish(1, c, "nobody") },
		"attach":  func(c *pluginpb.Credentials) *pluginpb.PluginEnvelope { return attach(1, c, "ann") },
		"authenticate": func(c *pluginpb.Credentials) *pluginpb.PluginEnvelope {
			return &pluginpb.PluginEnvelope{RequestId: 1, Body: &pluginpb.PluginEnvelope_Authenticate{Authenticate: &pluginpb.Authenticate{Credentials: c, Name: "ann"}}}
		},
		"check": func(c *pluginpb.Credentials) *pluginpb.PluginEnvelope {
			return &pluginpb.PluginEnvelope{RequestId: 1, Body: &pluginpb.PluginEnvelope_CheckToken{CheckToken: &pluginpb.CheckToken{Credentials: c}}}
		},
		"confirm": func(c *pluginpb.Credentials) *pluginpb.PluginEnvelope {
			return &pluginpb.PluginEnvelope{RequestId: 1, Body: &pluginpb.PluginEnvelope_Confirm{Confirm: &pluginpb.Confirm{Credentials: c, Mid: 1}}}
		},
		"unregister": func(c *pluginpb.Credentials) *pluginpb.PluginEnvelope {
			return &pluginpb.PluginEnvelope{RequestId: 1, Body: &pluginpb.PluginEnvelope_Unregister{Unregister: &pluginpb.Unregister{Credentials: c}}}
		},
		"command": func(c *pluginpb.Credentials) *pluginpb.PluginEnvelope {
			return &pluginpb.PluginEnvelope{RequestId: 1, Body: &pluginpb.PluginEnvelope_Command{Command: &pluginpb.ClientCommand{Credentials: c, Command: "X"}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCore(t)
			p := c.connect("p").guarded(guard.Limits{AuthFailures: 2})
			ann, err := c.auth.Issue("ann", "")
			if err != nil {
				t.Fatal(err)
			}
			code := func(c *pluginpb.Credentials) pluginpb.ErrorCode {
				t.Helper()
				p.say(ask(c))
				return errorOf(p.hear()).GetCode()
			}
			const unauthenticated, limit = pluginpb.ErrorCode_ERROR_CODE_UNAUTHENTICATED, pluginpb.ErrorCode_ERROR_CODE_LIMIT
			// No token is no guess.
			for range 3 {
				if got := code(remote("192.0.2.1", "")); got != unauthenticated {
					t.Errorf("without a token: %v", got)
				}
			}
			for i, want := range []pluginpb.ErrorCode{unauthenticated, unauthenticated, limit} {
				if got := code(remote("192.0.2.1", "wrong")); got != want {
					t.Errorf("wrong token %d: %v, want %v", i+1, got, want)
				}
			}
			if got := code(remote("192.0.2.1", token)); got != limit {
				t.Errorf("the right token of a locked address: %v", got)
			}
			if got := code(&pluginpb.Credentials{Auth: ann, Remote: "192.0.2.1"}); got == limit {
				t.Errorf("a session there: %v", got)
			}
			if got := code(remote("192.0.2.2", "wrong")); got != unauthenticated {
				t.Errorf("another address: %v", got)
			}
		})
	}
}

// A text that is shown as both is a session by its form, or a guess.
func TestOldSessionIsNoWrongToken(t *testing.T) {
	c := newCore(t)
	c.setTokens(tokens()...)
	p := c.connect("p").guarded(guard.Limits{AuthFailures: 2})
	ann, err := c.auth.Issue("ann", "")
	if err != nil {
		t.Fatal(err)
	}
	old := []string{ann, c.session("receiver", "ann", "team"), ann[:len(ann)-4] + "AAAA"}
	c.changeToken("another", true)
	code := func(text string, auth string) pluginpb.ErrorCode {
		t.Helper()
		p.say(getStatus(1, &pluginpb.Credentials{Token: text, Auth: auth, Remote: "192.0.2.1"}, 1))
		return errorOf(p.hear()).GetCode()
	}
	const unauthenticated, limit = pluginpb.ErrorCode_ERROR_CODE_UNAUTHENTICATED, pluginpb.ErrorCode_ERROR_CODE_LIMIT
	for range 5 {
		for _, text := range old {
			if got := code(text, text); got != unauthenticated {
				t.Errorf("an old session: %v", got)
			}
		}
	}
	if got := code("another", "another"); got != pluginpb.ErrorCode_ERROR_CODE_NOT_FOUND {
		t.Errorf("the right token after it: %v", got)
	}
	for i, want := range []pluginpb.ErrorCode{unauthenticated, unauthenticated, limit} {
		if got := code("wrong", ann); got != want {
			t.Errorf("wrong token %d beside an old session: %v, want %v", i+1, got, want)
		}
	}
}

// A guess is counted, or it tells nothing.
func TestNoTokenIsGuessedForFree(t *testing.T) {
	c := newCore(t)
	ann, err := c.auth.Issue("ann", "")
	if err != nil {
		t.Fatal(err)
	}
	c.changeToken(ann, true) // whoever would have such a token
	p := c.connect("p").guarded(guard.Limits{AuthFailures: 2})
	p.say(getStatus(1, &pluginpb.Credentials{Token: ann, Auth: ann, Remote: "192.0.2.1"}, 1))
	if got := errorOf(p.hear()).GetCode(); got != pluginpb.ErrorCode_ERROR_CODE_UNAUTHENTICATED {
		t.Errorf("the right one is told: %v", got)
	}
}

// errorOf is the error of an answer of any kind.
func errorOf(env *pluginpb.CoreEnvelope) *pluginpb.Error {
	switch body := env.Body.(type) {
	case *pluginpb.CoreEnvelope_Published:
		return body.Published.GetError()
	case *pluginpb.CoreEnvelope_Session:
		return body.Session.GetError()
	case *pluginpb.CoreEnvelope_CommandResult:
		return body.CommandResult.GetError()
	}
	return env.GetDone().GetError()
}

func TestPluginsWordIsNoGuess(t *testing.T) {
	c := newCore(t)
	p := c.connect("p", pluginpb.Right_RIGHT_ACCEPT_WITHOUT_TOKEN).guarded(guard.Limits{AuthFailures: 1})
	for range 5 {
		p.say(publish(1, &pluginpb.Credentials{Token: "wrong", Trusted: true, Remote: "192.0.2.1"}, "nobody"))
		if problem := p.hear().GetPublished().GetError(); problem != nil {
			t.Fatalf("refused with %v", problem)
		}
	}
}

// The answer to a wrong token takes the longer the more there were, and nobody
// else's waits for it.
func TestAnswersToWrongTokensAreDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t)
		p := c.connect("p").guarded(guard.Limits{AuthFailures: 20})
		start := time.Now()
		for i := range 14 {
			p.say(publish(uint64(i+1), remote("192.0.2.1", "wrong"), "nobody"))
		}
		p.say(publish(100, remote("192.0.2.2", token), "nobody"))
		want := []uint64{1, 100, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}
		for i, id := range want {
			got := p.hear().GetPublished().GetRequestId()
			after := time.Since(start)
			if i < 11 && got != id {
				t.Fatalf("answer %d is that of %d, not of %d", i, got, id)
			}
			if want := min(time.Duration(max(i-1, 0))*100*time.Millisecond, time.Second); after < want || after > want+10*time.Millisecond {
				t.Errorf("answer %d after %v, want %v", i, after, want)
			}
		}
	})
}
