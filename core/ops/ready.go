package ops

import (
	"context"
	"net/http"
)

// Readiness is the answer of /readyz.
type Readiness struct {
	Ready    bool           `json:"ready"`
	Engine   Part           `json:"engine"`
	Store    Part           `json:"store"`
	Channels []ChannelReady `json:"channels"`
}

// Part is something that has to work for the relay to be ready.
type Part struct {
	Ready  bool   `json:"ready"`
	Reason string `json:"reason,omitempty"` // why it is not, or what it complains of
}

// ChannelReady is a channel that is switched on.
type ChannelReady struct {
	Name  string `json:"name"`
	State string `json:"state"`
	Part
}

// accepts tells whether the store accepts messages.
func (m *Metrics) accepts() Part {
	if m.source.Disk().Low {
		return Part{false, "limits.diskReserve: the disk of the data directory is almost full"}
	}
	if err := m.storeFault(); err != nil {
		return Part{false, "the last transaction failed: " + err.Error()}
	}
	return Part{Ready: true}
}

// readiness looks at everything.
func (s *Server) readiness(ctx context.Context) Readiness {
	r := Readiness{Engine: s.alive(ctx), Store: s.Metrics.accepts(), Channels: []ChannelReady{}}
	r.Ready = r.Engine.Ready && r.Store.Ready
	for _, c := range s.Source.Channels() {
		r.Channels = append(r.Channels, ChannelReady{c.Name, c.State, Part{c.Running, c.Error}})
		r.Ready = r.Ready && c.Running
	}
	return r
}

// alive asks for an answer by the way that messages go, through the engine and to
// the disk.
func (s *Server) alive(ctx context.Context) Part {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	if err := s.Source.Ping(ctx); err != nil {
		return Part{false, "the engine or the disk gave no answer within " + bound.String() + ": " + err.Error()}
	}
	return Part{Ready: true}
}

func statusOf(ready bool) int {
	if ready {
		return http.StatusOK
	}
	return http.StatusServiceUnavailable
}
