package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"mpush/sdk"
	"mpush/sdk/dial"
)

// client is a configured receiver. Only its status changes.
type client struct {
	name, group string
	method      string
	url         *url.URL
	token       string
	secrets     secrets
	transport   *dial.Transport

	status status
}

// Deliver makes one attempt.
func (p *plugin) Deliver(ctx context.Context, d *sdk.Delivery) error {
	c := p.clients[d.Receiver]
	if c == nil {
		return sdk.Gone(errors.New("it is configured no more"))
	}
	if c.status.isDisabled() {
		return sdk.RetryAfter(disabledPause, errDisabled)
	}
	limit := p.timeout
	if limit == 0 {
		limit = d.Interval
	}
	attempt, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answer, redirects, err := c.send(attempt, c.form(d.Message, p.now()))
	switch {
	case err != nil && ctx.Err() != nil: // taken back, or the end
		return sdk.Retry(ctx.Err())
	case err != nil && attempt.Err() != nil:
		return sdk.Retry(p.noteFailure(c, d, fmt.Sprintf("no answer within %v", limit)))
	case err != nil:
		return sdk.Retry(p.noteFailure(c, d, reason(err)))
	}
	defer discard(answer)
	switch code := answer.StatusCode; {
	case code >= 200 && code < 300:
		p.noteSuccess(c, d)
		d.Done(nil) // its body says nothing more
		return nil
	case code == http.StatusGone && redirects == 0:
		p.disable(ctx, c, d)
		return sdk.RetryAfter(disabledPause, errDisabled)
	default:
		failure := p.noteFailure(c, d, statusText(code))
		if after, ok := dial.RetryAfter(answer.Header, p.now()); ok {
			return sdk.RetryAfter(after, failure)
		}
		return sdk.Retry(failure)
	}
}

// noteFailure remembers a failed attempt, and returns its reason. The log has
// the first of a row only, but for debugging.
func (p *plugin) noteFailure(c *client, d *sdk.Delivery, reason string) error {
	level := slog.LevelDebug
	if c.status.fail(p.now(), reason) {
		level = slog.LevelWarn
	}
	slog.Log(context.Background(), level, "delivery failed, it will be tried again",
		"channel", p.host.Channel(), "receiver", c.name, "mid", d.Message.MID, "attempt", d.Attempt, "err", reason)
	return errors.New(reason)
}

func (p *plugin) noteSuccess(c *client, d *sdk.Delivery) {
	if since, failed := c.status.succeed(); failed {
		slog.Info("deliveries succeed again", "channel", p.host.Channel(), "receiver", c.name, "mid", d.Message.MID,
			"attempt", d.Attempt, "failedFor", p.now().Sub(since).Round(time.Millisecond).String())
	}
}

// reason tells why a request got no answer, in words that are fit for a log.
func reason(err error) string {
	if own, ok := errors.AsType[*refusal](err); ok {
		return own.text
	}
	return dial.Reason(err)
}

func statusText(code int) string {
	if text := http.StatusText(code); text != "" {
		return fmt.Sprintf("answered %d %s", code, text)
	}
	return fmt.Sprintf("answered %d", code)
}

const (
	// maxDiscard is how much of an answer is read so that its connection can be
	// used again, and discardTime how long that may take.
	maxDiscard  = 64 << 10
	discardTime = time.Second
)

// discard reads what is left of an answer, within bounds, and closes it. An
// endpoint that goes on talking holds up neither the next message nor the
// request that a redirect leads to.
func discard(answer *http.Response) {
	defer time.AfterFunc(discardTime, func() { _ = answer.Body.Close() }).Stop()
	// After a switch of protocols the body is the connection itself: no context
	// ends a read of it.
	if answer.StatusCode != http.StatusSwitchingProtocols {
		_, _ = io.CopyN(io.Discard, answer.Body, maxDiscard)
	}
	_ = answer.Body.Close()
}
