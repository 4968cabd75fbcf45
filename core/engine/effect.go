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
// few milliseconds. Writes, Loads and Finds take effect in the order given, and
// no read brings what a Write has put before that Write was reported.
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
	Reason     string
}

// Answer answers a request.
type Answer struct {
	Link    LinkID
	Request RequestID
	Body    AnswerBody
}

// AnswerBody is Published, Attached, Done or *Refusal.
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

// Attached answers Attach.
type Attached struct {
	Name       string
	Group      string
	Generation uint64
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
)

// Refusal says why a request was not carried out; nothing was changed.
type Refusal struct {
	Code    Code
	Message string
}

func (r *Refusal) Error() string { return r.Message }

func (Published) answer() {}
func (Attached) answer()  {}
func (Done) answer()      {}
func (*Refusal) answer()  {}

func (*Write) effect()   {}
func (*Load) effect()    {}
func (*Find) effect()    {}
func (*Deliver) effect() {}
func (*Recall) effect()  {}
func (*Evict) effect()   {}
func (*Answer) effect()  {}
