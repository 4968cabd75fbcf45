package http

import (
	"sync"
	"testing"
	"time"

	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

// limited is a core that refuses every message for a rate.
func limited(retryAfterMs uint32) plugintest.Options {
	return plugintest.Options{Publish: func(*pluginpb.Publish) *pluginpb.PublishResult {
		return &pluginpb.PublishResult{Error: &pluginpb.Error{
			Code: pluginpb.ErrorCode_ERROR_CODE_LIMIT, Message: "limits.x: too much", RetryAfterMs: retryAfterMs,
		}}
	}}
}

func TestRateIsRefusedWith429AndRetryAfter(t *testing.T) {
	for after, want := range map[uint32]string{0: "", 1: "1", 1000: "1", 1001: "2", 60_000: "60"} {
		core := start(t, "", limited(after))
		got := exchange(t, core, get("/phone.send"))
		if got.status != 429 || got.body != info("limits.x: too much") || got.header.Get("Retry-After") != want {
			t.Errorf("%d ms: got %+v", after, got)
		}
	}
}

// Clients behind a trusted proxy are told apart by X-Forwarded-For, and the
// proxy itself is not counted.
func TestRequestsOfOneAddressBehindAProxyAreBounded(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	core := start(t, `"maxConnectionsPerAddress":2`, plugintest.Options{
		TrustedProxies: []string{"127.0.0.0/8"},
		Publish: func(*pluginpb.Publish) *pluginpb.PublishResult {
			asked <- struct{}{}
			<-release
			return replies("phone")(nil)
		},
	})
	of := func(client string) string {
		if client == "" {
			return get("/phone.send")
		}
		return get("/phone.send", "X-Forwarded-For: "+client)
	}
	// Four clients that have all that they may: the proxy without a word on its
	// client has no such bound.
	var waiting sync.WaitGroup
	for _, client := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2", "2001:db8::1", "2001:db8::2", "", "", "", ""} {
		waiting.Go(func() {
			if got := exchange(t, core, of(client)); got.status != 200 {
				t.Errorf("%q: got %+v", client, got)
			}
		})
		<-asked
	}
	for _, client := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::3"} {
		got := exchange(t, core, of(client))
		if got.status != 429 || got.body != info("http.maxConnectionsPerAddress: too many connections from this address") {
			t.Errorf("%s has one too many: got %+v", client, got)
		}
	}
	close(release)
	waiting.Wait()
	waiting.Go(func() { <-asked })
	// The place is free a moment after the answer.
	for deadline := time.Now().Add(plugintest.Patience); exchange(t, core, of("192.0.2.1")).status != 200; {
		if time.Now().After(deadline) {
			t.Fatal("there is no room again")
		}
	}
	waiting.Wait()
}
