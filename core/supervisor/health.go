package supervisor

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mpush/sdk/pluginpb"
)

// watchHealth asks the plugin how it is until ctx ends, and reports it hung
// when it does not answer twice in a row. A plugin that answers that it is
// unwell keeps running: only it knows what a restart would cost.
func (l *life) watchHealth(ctx context.Context) {
	ticker := time.NewTicker(l.opts.Timeouts.HealthEvery)
	defer ticker.Stop()
	misses := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		complaint, answered := l.askHealth(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case answered:
			misses = 0
			l.noteHealth(complaint)
		default:
			if misses++; misses == 2 {
				l.doom("hung: it does not answer Health")
				return
			}
		}
	}
}

// askHealth returns the plugin's complaint, "" for none, and whether it answered
// at all. A plugin without this call has answered.
func (l *life) askHealth(ctx context.Context) (complaint string, answered bool) {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Timeouts.Health)
	defer cancel()
	response, err := l.inst.rpc().Health(ctx, &pluginpb.HealthRequest{})
	switch {
	case status.Code(err) == codes.Unimplemented:
		return "", true
	case err != nil:
		return "", false
	case response.GetHealthy():
		return "", true
	case response.GetReason() == "":
		return "no reason given", true
	default:
		return l.opts.clip(response.GetReason()), true
	}
}

// noteHealth logs and publishes a change.
func (l *life) noteHealth(complaint string) {
	before := l.snapshot().Unhealthy
	if complaint == before {
		return
	}
	l.change(func(s *Status) { s.Unhealthy = complaint })
	if complaint == "" {
		l.log.Info("channel is well again")
	} else {
		l.log.Warn("channel is unwell", "reason", complaint)
	}
}
