// Command telegram is an mpush channel that sends messages to Telegram chats by
// a bot.
//
//   - main.go: what the channel is, and which receivers it stands for
//   - config.go: the operator's section
//   - send.go: one message to one chat, and what the answer means
//   - text.go: what the chat reads
package main

import (
	"context"
	"net/http"
	"time"

	"mpush/sdk"
	"mpush/sdk/dial"
)

type telegram struct {
	settings settings
	client   *http.Client
	failures sdk.Failures
}

var (
	_ sdk.Configurable   = (*telegram)(nil)
	_ sdk.Validator      = (*telegram)(nil)
	_ sdk.Declarer       = (*telegram)(nil)
	_ sdk.Egress         = (*telegram)(nil)
	_ sdk.Stopper        = (*telegram)(nil)
	_ sdk.HealthReporter = (*telegram)(nil)
)

func newTelegram() *telegram { return &telegram{settings: defaults()} }

// Describe tells what the channel is.
func (*telegram) Describe() sdk.Manifest {
	return sdk.Manifest{
		Name:        "telegram",
		Version:     "1.0",
		Description: "Messages go to Telegram chats, sent by a bot. That Telegram has a message does not mean that anybody has read it.",
		Statuses:    []sdk.Explained{{Word: "NAME-ok", Meaning: "Telegram has taken the message."}},
	}
}

const (
	retry    = 3 * time.Second
	retryMax = 5 * time.Minute
)

// Declare names the configured chats. Their routes stand beside others: a
// receiver may have a chat and an app.
func (t *telegram) Declare(context.Context, sdk.Host) ([]sdk.Route, error) {
	t.client = &http.Client{
		Transport: dial.NewTransport(t.settings.Proxy, nil),
		// The url has the bot's token: it goes to nobody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	var routes []sdk.Route
	for _, c := range t.settings.Chats {
		routes = append(routes, sdk.Route{
			Receiver: c.Name,
			Group:    c.Group,
			Address:  []byte(c.Chat), // it comes back with each delivery
			Policy:   sdk.Policy{Retry: retry, RetryMax: retryMax},
		})
	}
	return routes, nil
}

// Stop closes the connections. The attempts have ended by then.
func (t *telegram) Stop(context.Context) error {
	if t.client != nil {
		t.client.CloseIdleConnections()
	}
	return nil
}

// Health tells which receivers get nothing, and why.
func (t *telegram) Health(context.Context) error { return t.failures.Err() }

func main() { sdk.Serve(newTelegram()) }
