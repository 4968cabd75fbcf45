package control

import (
	"fmt"
	"math"
	"net/http"
	"strconv"

	"mpush/core/engine"
	"mpush/core/record"
)

// Bounds of a page of receivers.
const (
	defaultReceivers = 100
	mostReceivers    = 1000
)

// receivers tells of a page of them, by name.
func (s *Server) receivers(r *http.Request) (any, error) {
	query := r.URL.Query()
	limit, err := limitOf(query.Get("limit"), defaultReceivers, mostReceivers)
	if err != nil {
		return nil, err
	}
	names, err := s.Store.Away(r.Context(), math.MaxInt64, query.Get("after"), limit+1)
	if err != nil {
		return nil, err
	}
	page := Receivers{}
	if len(names) > limit {
		names = names[:limit]
		page.After = names[limit-1]
	}
	page.Receivers, err = s.visit(r, names)
	return page, err
}

func limitOf(text string, fallback, most int) (int, error) {
	if text == "" {
		return fallback, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > most {
		return 0, badRequest("limit: expected 1 to %d, not %q", most, text)
	}
	return limit, nil
}

func (s *Server) receiver(r *http.Request) (any, error) {
	found, err := s.visit(r, []string{r.PathValue("name")})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, nobody(r.PathValue("name"))
	}
	return found[0], nil
}

func nobody(name string) error {
	return &Error{http.StatusNotFound, fmt.Sprintf("no receiver has the name %q", name)}
}

// visit asks the engine for receivers, and the store for what waits longest.
func (s *Server) visit(r *http.Request, names []string) ([]Receiver, error) {
	body, err := s.Desk.Ask(r.Context(), func(link engine.LinkID, request engine.RequestID) engine.Event {
		return &engine.Visit{Link: link, Request: request, Names: names}
	})
	if err != nil {
		return nil, err
	}
	receivers := []Receiver{}
	for _, resident := range body.(engine.Visited).Receivers {
		receiver := receiverOf(&resident)
		if resident.Queued > 0 {
			oldest, _, err := s.Store.Next(r.Context(), resident.Name, 0, 1, 1)
			if err != nil {
				return nil, err
			}
			if len(oldest) > 0 {
				receiver.OldestMID, receiver.Oldest = MID(oldest[0].MID), at(oldest[0].Message.AcceptedAt)
			}
		}
		receivers = append(receivers, receiver)
	}
	return receivers, nil
}

// forget removes a receiver; what it waits for becomes dead letters of nobody.
func (s *Server) forget(r *http.Request) (any, error) {
	name := r.PathValue("name")
	found, err := s.visit(r, []string{name})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, nobody(name)
	}
	s.Forgotten(name)
	_, err = s.Desk.Ask(r.Context(), func(link engine.LinkID, request engine.RequestID) engine.Event {
		return &engine.Unregister{Link: link, Request: request, Receiver: name}
	})
	return struct{}{}, err
}

func receiverOf(resident *engine.Resident) Receiver {
	receiver := Receiver{
		Name: resident.Name, Group: resident.Group, Queued: resident.Queued, QueuedBytes: resident.Bytes, SeenAt: at(resident.SeenAt), Routes: []Route{},
	}
	for _, track := range resident.Routes {
		kind := map[record.RouteKind]string{
			record.Attached: "attached", record.Declared: "declared", record.Registered: "registered", record.Retired: "retired",
		}[track.Kind]
		receiver.Routes = append(receiver.Routes, Route{
			Channel: track.Channel, Kind: kind, Off: track.Off, Up: track.Up, InFlight: track.InFlight,
			Failures: track.Failures, Next: at(track.Next), Error: track.Error,
		})
	}
	return receiver
}
