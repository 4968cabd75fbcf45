package control

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"mpush/core/engine"
)

// survey asks the engine how everything is, and returns with it all channels.
func (s *Server) survey(ctx context.Context) (engine.Surveyed, []Channel, error) {
	body, err := s.Desk.Ask(ctx, func(link engine.LinkID, request engine.RequestID) engine.Event {
		return &engine.Survey{Link: link, Request: request}
	})
	if err != nil {
		return engine.Surveyed{}, nil, err
	}
	survey, channels := body.(engine.Surveyed), s.Channels()
	for _, share := range survey.Channels {
		i := slices.IndexFunc(channels, func(c Channel) bool { return c.Name == share.Channel })
		if i >= 0 {
			c := &channels[i]
			c.Queued, c.InFlight, c.MaxInFlight, c.Waiting = share.Queued, share.InFlight, share.Most, share.Waiting
		}
	}
	return survey, channels, nil
}

func (s *Server) channels(r *http.Request) (any, error) {
	_, channels, err := s.survey(r.Context())
	return channels, err
}

func (s *Server) status(r *http.Request) (any, error) {
	survey, channels, err := s.survey(r.Context())
	if err != nil {
		return nil, err
	}
	accepted, acked := s.Counts()
	status := Status{
		Health: healthOf(channels, survey.DiskLow), Version: s.Version, PID: os.Getpid(), Since: At(s.rates.start()),
		Rates:    s.rates.now(time.Now(), accepted, acked),
		Channels: slices.DeleteFunc(slices.Clone(channels), func(c Channel) bool { return c.State == Disabled }), Receivers: survey.Receivers, Routes: survey.Routes, Queued: survey.Queued, Failing: []Failing{},
	}
	for _, f := range survey.Failing {
		status.Failing = append(status.Failing, Failing{Receiver: f.Receiver, Channel: f.Channel, Failures: f.Failures, Next: at(f.Next), Error: f.Error})
	}
	return status, nil
}

// healthOf tells what keeps the relay from doing all that it should.
func healthOf(channels []Channel, diskLow bool) Health {
	h := Health{Troubles: []Trouble{}}
	if diskLow {
		h.Troubles = append(h.Troubles, Trouble{Reason: "limits.diskReserve: the disk of the data directory is almost full, messages are refused"})
	}
	for i := range channels {
		c := &channels[i]
		switch {
		case c.State == Disabled:
		case c.State != Running:
			reason := c.State
			if c.Error != "" {
				reason = fmt.Sprintf("%s: %s", c.State, c.Error)
			}
			h.Troubles = append(h.Troubles, Trouble{Channel: c.Name, Since: c.Since, Reason: reason})
		case c.Unhealthy != "":
			h.Troubles = append(h.Troubles, Trouble{Channel: c.Name, Reason: c.Unhealthy})
		}
	}
	h.OK = len(h.Troubles) == 0
	return h
}
