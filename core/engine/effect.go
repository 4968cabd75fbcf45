package engine

import (
	"mpush/core/message"
	"mpush/core/record"
)

// Effect is something to be done, in the order given. Effects for one link keep
// their order.
type Effect interface{ effect() }

// Write asks for durable changes, as one transaction with whatever else waits.
// With a Token the relay reports Written; without one it may delay the write a
// few milliseconds. Every read sees the Writes given before it, and may see later
// ones; but no Load, Find or LookUp brings what a Write has put before that Write was
// reported.
type Write struct {
	Token uint64
	Ops   []record.Op
}

// Load asks for a receiver's open items; answered by Loaded.
type Load struct {
	Token    uint64
	Receiver string
	After    record.Seq
	N        int
	MaxBytes int
}

// Find asks for one item; answered by Found.
type Find struct {
	Token    uint64
	Receiver string
	MID      message.MID
}

// Trace asks for a message with all its items; answered by Traced.
type Trace struct {
	Token uint64
	MID   message.MID
}

// LookUp asks for what a sender has sent under a key; answered by Sent.
type LookUp struct {
	Token        uint64
	Sender, Name string
}

// Deliver leases a message to a channel, or tells it to send the head again.
type Deliver struct {
	Link       LinkID
	Message    *message.Message
	Receiver   string
	Generation uint64
	Address    []byte
	Attempt    int
	Interval   int64 // the current retry interval, milliseconds
}

// Recall takes a lease back.
type Recall struct {
	Link       LinkID
	Receiver   string
	Generation uint64
	MID        message.MID
}

// Evict ends an attachment from the core's side.
type Evict struct {
	Link       LinkID
	Receiver   string
	Generation uint64
	Cause      EvictCause
}

// EvictCause is why an attachment has ended.
type EvictCause uint8

const (
	TakenOver  EvictCause = iota + 1 // another has come under the name
	Configured                       // a configured receiver has the name now
	Forgotten                        // the receiver is none any more
	TokenEnded                       // so has the token that it came with
)

func (c EvictCause) String() string {
	switch c {
	case TakenOver:
		return "another connection took over"
	case Configured:
		return "the name belongs to a configured receiver now"
	case Forgotten:
		return "unregistered"
	case TokenEnded:
		return tokenInvalid
	default:
		return "no reason given"
	}
}

// Answer answers a request.
type Answer struct {
	Link    LinkID
	Request RequestID
	Body    AnswerBody
}

// AnswerBody is Published, Attached, Looked, Surveyed, Visited, Done or *Refusal.
type AnswerBody interface{ answer() }

// Published answers Publish.
type Published struct {
	MID      message.MID // 0: there was nobody to send it to
	Statuses []TargetStatus
}

// TargetStatus is one receiver's status.
type TargetStatus struct {
	Receiver string
	Status   message.Status
}

// Attached answers Attach, and Enter with no generation.
type Attached struct {
	Name       string
	Group      string
	Generation uint64
	Epoch      uint64 // the request's
}

// Looked answers Look.
type Looked struct {
	Message *message.Message
	Items   []record.Item
	Ways    [][]Way // for each item where it can go, by channel; nil for one that has ended
}

// Way is a route as seen from an open item.
type Way struct {
	Channel  string
	Up       bool
	Passed   bool  // the route is done with the item
	InFlight bool  // the item is the one that the channel is delivering
	Paused   bool  // its last attempt failed, and the next is not yet due
	Attempt  int   // attempts on this route, of the item that is in flight or paused
	Next     int64 // when that is tried or sent again, Unix milliseconds; 0: not set
}

// Surveyed answers Survey.
type Surveyed struct {
	Receivers int
	Routes    int   // that are up
	Queued    int64 // open items, some of which may have ended while nobody looked
	DiskLow   bool  // nothing is accepted
	Failing   []Failing
	Channels  []Share // by name; those that nobody has a route on are left out
}

// Share is what one channel has to do with it.
type Share struct {
	Channel  string
	Routes   int   // live or not, but for those that are retired for good
	Up       int   // of these, live
	Queued   int64 // open items of their receivers, be it that another channel has them
	InFlight int   // messages that the channel holds
	Most     int   // that it may hold; 0: any number
	Waiting  int   // routes that wait until it holds less
}

// Failing is a route whose attempts fail. It is probed with growing pauses, and
// nothing but its own queue waits.
type Failing struct {
	Receiver string
	Channel  string
	Failures int    // in a row
	Next     int64  // of the next attempt, Unix milliseconds
	Error    string // of the last one
}

// Visited answers Visit, in the order of its names; those that nobody has are
// left out.
type Visited struct{ Receivers []Resident }

// Resident is a receiver as it is now.
type Resident struct {
	Name   string
	Group  string
	SeenAt int64   // about: a day before the last attach at most, or a minute before its end; Unix milliseconds
	Queued int64   // as that of Surveyed
	Bytes  int64   // of the messages of Queued
	Routes []Track // by channel
}

// Track is one of a receiver's routes.
type Track struct {
	Channel  string
	Kind     record.RouteKind
	Off      bool // its channel is switched off
	Up       bool
	InFlight int   // messages that the channel holds
	Failures int   // in a row
	Next     int64 // of the next attempt, Unix milliseconds; 0: it does not wait
	Error    string
}

// Done answers what yields nothing.
type Done struct{}

// Code classifies a refusal.
type Code uint8

const (
	Invalid Code = 1 + iota
	NameInUse
	Limit
	Unavailable
	TooLarge
	NotFound
)

// Refusal says why a request was not carried out; nothing was changed.
type Refusal struct {
	Code    Code
	Message string
}

func (r *Refusal) Error() string { return r.Message }

// MisdeedKind says what a link has done wrong.
type MisdeedKind uint8

const (
	// UngivenAck: a message was acknowledged that the receiver was never sent.
	UngivenAck MisdeedKind = 1 + iota
	// ForeignRoute: the receiver has no such route on the link's channel.
	ForeignRoute
	// UnfoundedAck: a message was acknowledged on a route where, as its policy says,
	// nobody confirms. It is taken for handed off, if its lease still runs.
	UnfoundedAck
	// Overrun: more changes of receivers were asked for than can wait.
	Overrun
	// Hoarding: it holds all that it may and settles none, while others wait.
	Hoarding
)

// Misdeed tells that a link has done what no honest one does. Nothing was
// changed by it, but where its kind says so.
type Misdeed struct {
	Link LinkID
	Kind MisdeedKind
}

func (Published) answer() {}
func (Attached) answer()  {}
func (Looked) answer()    {}
func (Surveyed) answer()  {}
func (Visited) answer()   {}
func (Done) answer()      {}
func (*Refusal) answer()  {}

func (*Write) effect()   {}
func (*Load) effect()    {}
func (*Find) effect()    {}
func (*Trace) effect()   {}
func (*LookUp) effect()  {}
func (*Deliver) effect() {}
func (*Recall) effect()  {}
func (*Evict) effect()   {}
func (*Answer) effect()  {}
func (*Misdeed) effect() {}
