package sdk

// maxDetachments bounds what is remembered of connections that ended. Leases
// that were under way to a forgotten one reach the plugin, which has no
// connection for them.
const maxDetachments = 4096

// detachments are the latest attachments that the plugin ended, oldest first.
// The zero value is empty.
type detachments struct {
	generations map[string]uint64 // by receiver, the newest
	order       []detachment      // a ring
	next        int
}

type detachment struct {
	receiver   string
	generation uint64
}

// add reports whether this is news.
func (d *detachments) add(receiver string, generation uint64) bool {
	if generation <= d.generations[receiver] {
		return false
	}
	if d.generations == nil {
		d.generations = map[string]uint64{}
	}
	d.generations[receiver] = generation
	entry := detachment{receiver, generation}
	if len(d.order) < maxDetachments {
		d.order = append(d.order, entry)
		return true
	}
	oldest := d.order[d.next]
	if d.generations[oldest.receiver] == oldest.generation {
		delete(d.generations, oldest.receiver)
	}
	d.order[d.next] = entry
	d.next = (d.next + 1) % maxDetachments
	return true
}

// covers tells whether a delivery of this generation comes too late.
func (d *detachments) covers(receiver string, generation uint64) bool {
	latest, ok := d.generations[receiver]
	return ok && generation <= latest
}
