package webpush

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	webpushgo "github.com/SherClockHolmes/webpush-go"

	"mpush/sdk"
	"mpush/sdk/dial"
)

// Deliver brings one message to the push service of one subscription. An attempt
// that takes longer than the current interval has failed; time in the line for
// the push service does not count.
func (p *plugin) Deliver(ctx context.Context, d *sdk.Delivery) error {
	log := slog.With("channel", p.host.Channel(), "receiver", d.Receiver, "mid", d.Message.MID, "attempt", d.Attempt)
	subscription, u, err := readAddress(d.Address)
	if err != nil {
		log.Warn("the subscription is dropped", "err", err)
		return sdk.Gone(err)
	}
	leave, err := p.gates.enter(ctx, originOf(u))
	if err != nil {
		return sdk.Retry(err)
	}
	defer leave()
	attempt, cancel := context.WithTimeout(ctx, max(d.Interval, leastRetryAllowed))
	defer cancel()
	v := p.push(attempt, d.Message, subscription, u)
	switch {
	case v.err == nil:
		p.pulse.beat(d.Receiver, nil)
		return sdk.HandedOff
	case ctx.Err() != nil:
		return sdk.Retry(ctx.Err()) // taken back: nobody asks any more
	}
	v.err = fmt.Errorf("push service %q: %w", u.Hostname(), v.err)
	if v.gone {
		log.Info("the subscription is gone", "err", v.err)
		return sdk.Gone(v.err)
	}
	log.Warn("push failed", "err", v.err)
	p.pulse.beat(d.Receiver, v.err)
	return sdk.RetryAfter(v.after, v.err)
}

// verdict is what became of an attempt. The zero value: the push service has the
// message.
type verdict struct {
	err   error
	gone  bool          // with err: so is the subscription
	after time.Duration // with err: not before that; 0 is whenever
}

// push sends a message, shorter and shorter if the push service finds it too
// long. Each time its body shrinks by a quarter at least, so it soon ends.
func (p *plugin) push(ctx context.Context, m *sdk.Message, s *webpushgo.Subscription, u *url.URL) verdict {
	// The operator may have changed what is allowed since it was registered.
	if err := p.door.check(u); err != nil {
		return verdict{err: err}
	}
	wishes := hintsOf(m, p.settings.TTL, time.Now())
	for limit := maxRecord; ; {
		payload, ok := fit(m, limit-overhead)
		if !ok {
			return verdict{err: errors.New("status 413, however short the message is cut")}
		}
		record := recordFor(payload, limit)
		a, err := p.post(ctx, s, u, payload, record, wishes)
		if err != nil {
			return verdict{err: err}
		}
		if a.status != http.StatusRequestEntityTooLarge {
			return judge(a, time.Now())
		}
		limit = record * 3 / 4
	}
}

// judge reads an answer other than 413 (RFC 8030, sections 5 and 7.3; services
// in the field answer 200 and 202, too).
func judge(a answer, now time.Time) verdict {
	v := verdict{err: fmt.Errorf("status %d", a.status)}
	if a.reason != "" {
		v.err = fmt.Errorf("status %d: %s", a.status, a.reason)
	}
	switch a.status {
	case http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent:
		return verdict{}
	case http.StatusNotFound, http.StatusGone:
		v.gone = true
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		v.after, _ = dial.RetryAfter(a.header, now)
	}
	return v
}
