package engine

import (
	"mpush/core/message"
	"mpush/core/record"
)

// LinkID names one plugin's stream for as long as it lasts; never reused.
type LinkID uint64

// RequestID is a link's handle for a request that it wants answered. The engine
// hands it back and looks at nothing but its being zero, which wants no answer.
type RequestID struct {
	Number uint64
	Kind   uint8
}

// Event is something that happened. Step documents what each does.
type Event interface{ event() }

// LinkUp: a channel's stream was opened.
type LinkUp struct {
	Link     LinkID
	Channel  string
	InFlight int // messages that it may hold at once; 0: any number
}

// LinkReady: the channel has started; its durable routes go live.
type LinkReady struct{ Link LinkID }

// LinkDown: the stream ended, and with it everything that was attached, leased
// or awaited on it.
type LinkDown struct{ Link LinkID }

// Publish asks to send a message. The sender's rights were checked.
type Publish struct {
	Link    LinkID
	Request RequestID
	// FromMethod is how the message came in; "" is by the link's channel.
	FromMethod string
	FromName   string
	SendType   message.SendType
	Target     string
	Text       string
	Desp       string
	Extra      []byte
	Wait       int64 // milliseconds
	TTL        int64 // milliseconds that the sender gives it, 0 for the relay's
	// Key is what the sender calls the message by, so that it can send it again
	// without sending it twice. Its Name is "" for none.
	Key record.Key
}

// Status asks what became of a message so far.
type Status struct {
	Link    LinkID
	Request RequestID
	MID     message.MID
	// From is the caller, who may ask for what it has sent; Any lets it ask for
	// everything.
	From string
	Any  bool
}

// Ping asks for an answer, which shows that the engine lives.
type Ping struct {
	Link    LinkID
	Request RequestID
}

// Look asks for all that is known of a message.
type Look struct {
	Link    LinkID
	Request RequestID
	MID     message.MID
}

// Survey asks how the routes are.
type Survey struct {
	Link    LinkID
	Request RequestID
}

// Visit asks how some receivers are, by their names.
type Visit struct {
	Link    LinkID
	Request RequestID
	Names   []string
}

// Replay opens a dead letter again, at the end of its receiver's queue.
type Replay struct {
	Link     LinkID
	Request  RequestID
	Receiver string
	MID      message.MID
}

// DropDead takes a dead letter off the list.
type DropDead struct {
	Link     LinkID
	Request  RequestID
	Receiver string
	MID      message.MID
}

// Overdue says where items of a receiver may be open though their time is over.
type Overdue struct{ record.Overdue }

// Away says that a receiver may be away. If it is, and has been since before a
// time, it is forgotten; of one that is here it is written down that it was seen.
type Away struct {
	Receiver string
	Before   int64 // Unix milliseconds
}

// DiskLow says whether there is too little space to accept messages.
type DiskLow struct{ Low bool }

// Traced answers a Trace. Message is nil if there is no such message.
type Traced struct {
	Token   uint64
	Message *message.Message
	Items   []record.Item
	Err     error
}

// Sent answers a LookUp.
type Sent struct {
	Token uint64
	Key   record.Key
	Found bool
	Err   error
}

// Attach asks for the receiver's route on the link's channel. The caller was
// authenticated as Name.
type Attach struct {
	Link    LinkID
	Request RequestID
	Name    string
	Group   string
	Policy  record.Policy
	Address []byte
	// OwnOnly refuses a name that another channel serves and this one does not.
	OwnOnly bool
	// Epoch is that of the token by which the caller was authenticated: another
	// token has another one.
	Epoch uint64
}

// Enter asks whether a caller may have a session as Name without a route. The
// caller was authenticated.
type Enter struct {
	Link    LinkID
	Request RequestID
	Name    string
	Group   string
	OwnOnly bool   // as of Attach
	Epoch   uint64 // likewise
}

// Detach ends an attachment.
type Detach struct {
	Link       LinkID
	Receiver   string
	Generation uint64
}

// RouteSpec is a durable route as its channel gives it.
type RouteSpec struct {
	Receiver string
	Group    string
	Address  []byte
	Policy   record.Policy
}

// Declare is the complete set of a channel's configured routes.
type Declare struct {
	Link    LinkID
	Request RequestID
	Routes  []RouteSpec
	// TakeNames lets a declared receiver take its name, and its queue, from a
	// client that attached under it.
	TakeNames bool
	OwnOnly   bool // as of Attach
}

// Register stores one durable route on a client's behalf.
type Register struct {
	Link    LinkID
	Request RequestID
	Route   RouteSpec
	OwnOnly bool // as of Attach
}

// Unregister forgets a receiver. The caller was authenticated as it.
type Unregister struct {
	Link     LinkID
	Request  RequestID
	Receiver string
}

// OutcomeKind is what a channel says of a delivery.
type OutcomeKind uint8

const (
	Acked OutcomeKind = 1 + iota
	HandedOff
	Retry
	Rejected
	Gone
)

// Outcome is what became of a leased message.
type Outcome struct {
	Link       LinkID
	Receiver   string
	Generation uint64
	MID        message.MID
	Kind       OutcomeKind
	After      int64 // milliseconds, of Retry
	Error      string
	// Late, of Acked: the channel does not hold the message as its head.
	Late bool
}

// Confirm is an ack that came another way. The caller was authenticated as
// Receiver.
type Confirm struct {
	Link        LinkID
	Request     RequestID
	Receiver    string
	MID         message.MID
	HandoffOnly bool
	// ByChannel: the channel vouches for the receiver, who must have a route on
	// it.
	ByChannel bool
}

// Written reports the end of a Write with a token. Err nil: it is on disk.
type Written struct {
	Token uint64
	Err   error
}

// Loaded answers a Load.
type Loaded struct {
	Token uint64
	Items []record.Queued
	More  bool
	Err   error
}

// Found answers a Find. Item.Message is nil if there is no such item.
type Found struct {
	Token uint64
	Item  record.Queued
	Err   error
}

// Stopping: the relay is about to end. Waits end with the statuses of the
// moment, new sends, attaches and registrations are refused.
type Stopping struct{}

// LinkStopping: the channel is about to end. What waits on it, now or later, is
// answered with the statuses of the moment.
type LinkStopping struct{ Link LinkID }

// Reconfigure: the operator has changed the configuration while the relay runs.
type Reconfigure struct {
	Config   Config   // but for Seed, which stays
	Channels []string // as of New
	// Epoch is the newest of all tokens' epochs, and Holding those that have not
	// ended; Epoch has not. Whoever was attached in one that has ended is
	// evicted, and those who are about to be are refused. A greater one than
	// Epoch is about to begin and holds.
	Epoch   uint64
	Holding []uint64
}

func (*LinkUp) event()     {}
func (*LinkReady) event()  {}
func (*LinkDown) event()   {}
func (*Publish) event()    {}
func (*Attach) event()     {}
func (*Enter) event()      {}
func (*Detach) event()     {}
func (*Declare) event()    {}
func (*Register) event()   {}
func (*Unregister) event() {}
func (*Outcome) event()    {}
func (*Confirm) event()    {}
func (*Written) event()    {}
func (*Loaded) event()     {}
func (*Found) event()      {}
func (*Stopping) event()   {}
func (*Status) event()     {}
func (*Ping) event()       {}
func (*Look) event()       {}
func (*Survey) event()     {}
func (*Visit) event()      {}
func (*Replay) event()     {}
func (*DropDead) event()   {}
func (*Overdue) event()    {}
func (*Away) event()       {}
func (*DiskLow) event()    {}
func (*Traced) event()     {}
func (*Sent) event()       {}

func (*LinkStopping) event() {}
func (*Reconfigure) event()  {}
