package engine

// parked is what a link's events take that wait for something on its way to disk.
type parked struct {
	events int
	bytes  int
}

// A link may have so many changes of receivers wait, and as many repeats of
// messages, and the one that crosses the line besides. What bounds what it has under
// way (core/link) has let go of them by then.
const (
	maxParked      = 4096
	maxParkedBytes = 8 << 20
)

// parkedOf is what an event counts towards.
func (l *link) parkedOf(event Event) *parked {
	if _, is := event.(*Publish); is {
		return &l.repeats
	}
	return &l.changes
}

// park counts an event that is to wait; false if its link has too many, or has
// gone. A Declare is not counted. What has waited before is not refused.
func (e *Engine) park(event Event) bool {
	link, _, size := claimant(event)
	l := e.links[link]
	if l == nil {
		return false
	}
	p := l.parkedOf(event)
	if !e.goingOn && (p.events >= maxParked || p.bytes >= maxParkedBytes) {
		return false
	}
	p.events++
	p.bytes += size
	return true
}

// goOn lets events that have waited go on, in order. They may have to wait again.
func (e *Engine) goOn(waiting []Event) {
	e.goingOn = true
	for _, event := range waiting {
		link, _, size := claimant(event)
		if l := e.links[link]; l != nil {
			p := l.parkedOf(event)
			p.events--
			p.bytes -= size
		}
		e.dispatch(event)
	}
	e.goingOn = false
}

// claimant is whose an event is that may have to wait, and about how many bytes
// it has; link 0, which is nobody's, for one that is not counted.
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
