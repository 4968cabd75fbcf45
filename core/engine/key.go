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

// pendingKey is a LookUp under way.
type pendingKey struct {
	key   *keyed
	event *Publish
}

// publishOnce routes a message unless its sender has sent it before: then it
// tells what became of that.
func (e *Engine) publishOnce(ev *Publish) {
	id := keyID{ev.Key.Sender, ev.Key.Name}
	if k := e.keys[id]; k != nil {
		k.waiting = append(k.waiting, ev)
		return
	}
	k := &keyed{id: id}
	e.keys[id] = k
	e.emit(&LookUp{Token: e.await(&pendingKey{k, ev}), Sender: id.sender, Name: id.name})
}

func (e *Engine) sent(ev *Sent) {
	p, ok := e.take(ev.Token).(*pendingKey)
	if !ok {
		return
	}
	link, request := p.event.Link, p.event.Request
	switch {
	case ev.Err != nil:
		e.refuseMessage(p.event, Unavailable, "the key could not be looked up: "+ev.Err.Error())
	case !ev.Found || e.wall-ev.Key.At >= KeyTime:
		e.route(p.event, p.key)
		return
	case ev.Key.Digest != p.event.Key.Digest:
		e.refuseMessage(p.event, Invalid, "idempotency key: it was used for another message")
	default:
		e.trace(&pendingTrace{link: link, request: request, any: true, sent: ev.Key.MID}, ev.Key.MID)
	}
	e.unkey(p.key)
}

// unkey lets those go on who repeat what is decided now.
func (e *Engine) unkey(k *keyed) {
	delete(e.keys, k.id)
	for _, event := range k.waiting {
		e.dispatch(event)
	}
}
