package engine

// KeyTime is how long a sender's key is remembered, in milliseconds.
const KeyTime = 24 * 60 * 60 * 1000

// keyID is whose key it is, and which.
type keyID struct{ sender, name string }

// keyed is a message with a key on its way: those that repeat it meanwhile wait
// for what becomes of it.
type keyed struct {
	id      keyID
	waiting []Event
}

// maxRepeats of one message wait for what becomes of it: each has the key looked
// up anew, one after the other.
const maxRepeats = 64

// sender is who sends, as far as the order of messages goes. All of a link's that
// have no name are one.
type sender struct {
	link LinkID
	name string
}

func senderOf(ev *Publish) sender { return sender{ev.Link, ev.FromName} }

// turn is a message's place among its sender's: what is sent behind one with a key
// does not overtake it while that is looked up.
type turn struct {
	event *Publish
	key   *keyed // or nil
	sent  *Sent  // the answer, once it is there
}

// pendingKey is a LookUp under way.
type pendingKey struct{ turn *turn }

// publishOnce routes a message unless its sender has sent it before: then it
// tells what became of that.
func (e *Engine) publishOnce(ev *Publish) {
	id := keyID{ev.Key.Sender, ev.Key.Name}
	if k := e.keys[id]; k != nil {
		if len(k.waiting) < maxRepeats && e.park(ev) {
			k.waiting = append(k.waiting, ev)
		} else {
			e.refuseMessage(ev, Unavailable, "too many messages are repeated at once: try again")
		}
		return
	}
	t := &turn{event: ev, key: &keyed{id: id}}
	e.keys[id] = t.key
	e.lines[senderOf(ev)] = append(e.lines[senderOf(ev)], t)
	e.emit(&LookUp{Token: e.await(&pendingKey{t}), Sender: id.sender, Name: id.name})
}

func (e *Engine) sent(ev *Sent) {
	p, ok := e.take(ev.Token).(*pendingKey)
	if !ok {
		return
	}
	p.turn.sent = ev
	from := senderOf(p.turn.event)
	for line := e.lines[from]; len(line) > 0 && (line[0].key == nil || line[0].sent != nil); line = e.lines[from] {
		if len(line) == 1 {
			delete(e.lines, from)
		} else {
			e.lines[from] = line[1:]
		}
		e.decide(line[0])
	}
}

// decide routes a message whose turn has come, unless it was sent before.
func (e *Engine) decide(t *turn) {
	ev := t.event
	switch {
	case t.key == nil:
		e.route(ev, nil)
		return
	case t.sent.Err != nil:
		e.refuseMessage(ev, Unavailable, "the key could not be looked up: "+t.sent.Err.Error())
	case !t.sent.Found || e.wall-t.sent.Key.At >= KeyTime:
		e.route(ev, t.key)
		return
	case t.sent.Key.Digest != ev.Key.Digest:
		e.refuseMessage(ev, Invalid, "idempotency key: it was used for another message")
	default:
		e.trace(&pendingTrace{link: ev.Link, request: ev.Request, any: true, sent: t.sent.Key.MID}, t.sent.Key.MID)
	}
	e.unkey(t.key)
}

// unkey lets those go on who repeat what is decided now.
func (e *Engine) unkey(k *keyed) {
	delete(e.keys, k.id)
	e.goOn(k.waiting)
}
