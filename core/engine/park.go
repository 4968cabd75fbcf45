package engine

// parked is what a link's events take that wait for something on its way to disk.
type parked struct {
	events int
	bytes  int
}

// A link may have so many events wait, and the one that crosses the line besides.
// What bounds what it has under way (core/link) has let go of them by then.
const (
	maxParked      = 4096
	maxParkedBytes = 8 << 20
)

// park counts an event that is to wait; false if its link has too many, or has
// gone. A Declare is not counted.
func (e *Engine) park(event Event) bool {
	link, _, size := claimant(event)
	l := e.links[link]
	if l == nil || l.parked.events >= maxParked || l.parked.bytes >= maxParkedBytes {
		return false
	}
	l.parked.events++
	l.parked.bytes += size
	return true
}

// goOn lets events that have waited go on, in order. They may have to wait again.
func (e *Engine) goOn(waiting []Event) {
	for _, event := range waiting {
		link, _, size := claimant(event)
		if l := e.links[link]; l != nil && size > 0 {
			l.parked.events--
			l.parked.bytes -= size
		}
	}
	for _, event := range waiting {
		e.dispatch(event)
	}
}

// claimant is whose an event is that may have to wait, and about how many bytes
// it has; 0 for one that is not counted.
func claimant(event Event) (link LinkID, request RequestID, size int) {
	const fixed = 200
	switch ev := event.(type) {
	case *Attach:
		return ev.Link, ev.Request, fixed + len(ev.Name) + len(ev.Group) + len(ev.Address)
	case *Register:
		return ev.Link, ev.Request, fixed + len(ev.Route.Receiver) + len(ev.Route.Group) + len(ev.Route.Address)
	case *Unregister:
		return ev.Link, ev.Request, fixed + len(ev.Receiver)
	case *Publish:
		return ev.Link, ev.Request, fixed + len(ev.Target) + len(ev.Text) + len(ev.Desp) + len(ev.Extra)
	}
	return 0, RequestID{}, 0
}
