// Package record is what the engine and the store agree on: the durable shape
// of receivers, routes and items, and the operations that change them. It has
// no behaviour; the engine decides, the store keeps.
package record

import "mpush/core/message"

// Seq is a place in one receiver's queue: 1, 2, 3 … without gaps.
type Seq int64

// Receiver is a name that messages are sent to.
type Receiver struct {
	Name   string
	Group  string // "" is none
	SeenAt int64  // when it was last here, about; Unix milliseconds
}

// Route is one receiver on one channel.
type Route struct {
	Receiver string
	Channel  string
	// Kind says how the route came to be, and so what its channel's absence
	// means.
	Kind    RouteKind
	Address []byte // opaque, the channel's own
	Policy  Policy
	// Cursor: everything up to here is done with on this route.
	Cursor Seq
}

// RouteKind says what keeps a route alive.
type RouteKind uint8

const (
	// Attached routes come and go with a connection; the record stays.
	Attached RouteKind = 1 + iota
	// Declared routes are named by the operator's configuration.
	Declared
	// Registered routes were stored on a client's behalf.
	Registered
	// Retired routes were declared once and are no longer. They hold no name.
	Retired
)

// Policy is how the engine treats a route. Durations are milliseconds.
type Policy struct {
	Exclusive bool  // holds the receiver's name against other channels
	Acks      bool  // the receiver itself confirms here
	Prefetch  int   // leases that the channel may hold, at least 1
	Resend    int64 // deliver the unanswered head again after this; 0 never
	Retry     int64 // first pause after a failed attempt
	RetryMax  int64 // pauses double up to this; 0: they stay at Retry
}

// State is an item's place in its life.
type State uint8

const (
	Open State = iota
	Acked
	HandedOff
	Dead
)

// Item is one receiver's share of one message. Once its State is not Open the
// row is the history and changes no more, unless the operator replays or drops a
// dead letter.
type Item struct {
	Receiver string
	Seq      Seq
	MID      message.MID
	State    State
	Status   message.Status
	Tries    int    // deliveries begun, over all routes
	SentAt   int64  // first delivery, Unix milliseconds; 0 never
	EndedAt  int64  // Unix milliseconds; 0 while Open
	Reason   string // of Dead: expired, rejected, forgotten, dropped
	Error    string // the last failure a channel reported
}

// Queued is an open item with its message.
type Queued struct {
	Item
	Message *message.Message
}

// Op is one durable change. A batch of them is one transaction, applied in
// order.
type Op interface{ op() }

// Put stores a message with an open item for each receiver, all or nothing.
type Put struct {
	Message   *message.Message
	Receivers []string
	// Seqs is filled by the store, one per receiver; 0 for a receiver that the
	// store does not know. Bytes likewise: the receiver's running total of
	// message bytes up to and including this item.
	Seqs  []Seq
	Bytes []int64
	// Key, if not nil, is remembered with the message.
	Key *Key
}

// Key is what a sender calls a message by, so that it can send it again without
// sending it twice.
type Key struct {
	Sender string // who the key is of
	Name   string // the sender's own
	Digest string // of what was sent under it
	MID    message.MID
	At     int64 // Unix milliseconds
}

// Replay opens a dead letter again, at the end of its receiver's queue. Its message
// gets a new time, unless that is open for another receiver and its time is not
// over: the other one's must not change.
type Replay struct {
	Receiver  string
	MID       message.MID
	At        int64 // now; times are Unix milliseconds
	ExpiresAt int64 // the new time, 0 never
	// Seq and Bytes are filled by the store as those of a Put; Seq is 0 if there
	// is no such dead letter. Until is the message's time, new or not.
	Seq   Seq
	Bytes int64
	Until int64
}

// DropDead takes a dead letter off the list of those that may be replayed. It
// stays in the history, with the reason "dropped".
type DropDead struct {
	Receiver string
	MID      message.MID
}

// Dropped is the reason of dead letters that nobody wants to see again.
const Dropped = "dropped"

// Settle writes what is known of an item. An item that has ended does not
// change any more; tries and status never go down.
type Settle struct{ Item Item }

// Advance moves a route's cursor forward; backward it does nothing.
type Advance struct {
	Receiver string
	Channel  string
	Cursor   Seq
}

// SaveReceiver creates or changes a receiver.
type SaveReceiver struct{ Receiver Receiver }

// SaveRoute creates or changes a route of a known receiver. Cursor is used on
// creation alone.
type SaveRoute struct{ Route Route }

// DropRoute removes a route. The receiver and its queue stay.
type DropRoute struct {
	Receiver string
	Channel  string
}

// Forget removes a receiver with its routes; its open items end as Dead with
// the reason.
type Forget struct {
	Receiver string
	Reason   string
	At       int64 // Unix milliseconds
	// Ended is filled by the store: how many open items that were.
	Ended int64
}

// PutState writes one entry of a channel's own state; an empty value deletes.
type PutState struct {
	Channel string
	Key     string
	Value   []byte
}

func (*Put) op()          {}
func (*Settle) op()       {}
func (*Advance) op()      {}
func (*SaveReceiver) op() {}
func (*SaveRoute) op()    {}
func (*DropRoute) op()    {}
func (*Forget) op()       {}
func (*PutState) op()     {}
func (*Replay) op()       {}
func (*DropDead) op()     {}

// Registry is what the engine starts from.
type Registry struct {
	LastMID   message.MID
	Receivers []Tail
	Routes    []Route
}

// Tail is a receiver with the end of its queue.
type Tail struct {
	Receiver
	Seq   Seq   // of its last item, 0 for none
	Bytes int64 // running total up to there
	// Queued and QueuedBytes count the places from the first open item to the
	// last item, ended ones between them included.
	Queued      int64
	QueuedBytes int64
}

// Account is a receiver's balance: Accepted is counted by the places in its queue
// that were given out, the rest by what became of the items.
type Account struct {
	Receiver  string
	Forgotten bool // the name may belong to another since
	Accepted  int64
	Acked     int64
	HandedOff int64
	Dead      int64
	Pending   int64
}

// Balanced tells whether nothing is missing and nothing is there twice.
func (a *Account) Balanced() bool {
	return a.Accepted == a.Acked+a.HandedOff+a.Dead+a.Pending
}

// Overdue is a stretch of a receiver's queue with open items whose time is over.
type Overdue struct {
	Receiver    string
	First, Last Seq
}
