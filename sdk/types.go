package sdk

import (
	"context"
	"time"

	"mpush/sdk/pluginpb"
)

// SendType says what a message's target names.
type SendType = pluginpb.SendType

const (
	// Personal: the target is a receiver's name.
	Personal = pluginpb.SendType_SEND_TYPE_PERSONAL
	// Group: the target is a group's name.
	Group = pluginpb.SendType_SEND_TYPE_GROUP
)

// Delivery is one message for one receiver.
type Delivery struct {
	// Message is shared between deliveries: read it only.
	Message *Message
	// Receiver is who the message is for.
	Receiver string
	// Address is what Declare, Register or Attach gave for this route: read it
	// only.
	Address []byte
	// Generation identifies the attachment.
	Generation uint64
	// Attempt counts earlier deliveries of this message on this route.
	Attempt int
	// Interval is the current retry interval: how long an attempt may take.
	Interval time.Duration

	lease *lease
}

// Route is a receiver's route on this channel.
type Route struct {
	Receiver string // 1 to 256 bytes of UTF-8 without control characters
	Group    string // likewise; "" is none
	// Address is the channel's own; it comes back with each Delivery. At most
	// 64 KiB.
	Address []byte
	// Policy is how the core treats the route.
	Policy Policy
}

// Policy is how the core treats a route. The zero value suits an additional
// route whose Deliver reports each outcome itself. Durations are rounded up to
// whole milliseconds; negative ones are 0.
type Policy struct {
	// Exclusive holds the receiver's name: another exclusive channel is refused
	// it. Else the route stands beside the others.
	Exclusive bool
	// Acks: the receiver itself confirms, nil from Deliver means "ok". Else
	// Deliver returns HandedOff; nil counts as that, and as a misdeed.
	Acks bool
	// Prefetch is how many messages the plugin may hold per receiver; 0 is 1.
	// More saves the way to the core between two messages. It is for attached
	// routes with Resend: on others a message that is leased while a Retry is
	// under way overtakes the one that failed.
	Prefetch int
	// Resend delivers an unanswered message again after this; 0 never does.
	Resend time.Duration
	// Retry is the first pause after a failed attempt; 0 is 3 s.
	Retry time.Duration
	// RetryMax: pauses double up to this; 0 keeps them at Retry.
	RetryMax time.Duration
}

// Host is the core, as a plugin sees it. All methods may be called from any
// goroutine. Calls that return an error block until the core has answered or
// ctx ends; a refusal is an *Error, and means that nothing was changed. Any other
// error, such as ErrUnanswered, does not.
type Host interface {
	// Channel is the name that the operator gave this channel.
	Channel() string

	// Publish sends a message and waits for its receivers as asked.
	Publish(ctx context.Context, publish Publish) (Published, error)

	// Status returns what became of a message so far. The caller needs a token
	// that may see all messages, or the session of its sender; to others it is
	// CodeNotFound, as is one that is no longer known.
	Status(ctx context.Context, credentials Credentials, mid int64) (Published, error)

	// Authenticate checks credentials and makes a session without a route.
	Authenticate(ctx context.Context, credentials Credentials, name, group string) (Session, error)

	// Attach authenticates and makes this plugin the holder of the receiver's
	// route. See Attach for the order of what follows.
	Attach(ctx context.Context, attach Attach) (Session, error)

	// Detach tells that the connection behind an attachment is gone. The queue
	// stays. A stale generation is ignored. It does not block.
	Detach(receiver string, generation uint64)

	// Acked tells that a receiver acknowledged a message, in flight or earlier.
	// One that was never sent to it is ignored. For the message in flight it
	// does not block, for others it waits while the core is far behind.
	Acked(receiver string, generation uint64, mid int64)

	// Confirm is an acknowledgement that came another way than the route's
	// connection.
	Confirm(ctx context.Context, confirm Confirm) error

	// Command hands on a client's command that this plugin does not know. info
	// is text for the client, "" for nothing to say.
	Command(ctx context.Context, command ClientCommand) (info string, err error)

	// Register stores a durable route. Unlike Declare it adds to what is there;
	// a route that the channel has for the receiver is replaced. It is for the
	// receiver whose Command is being answered: else it is CodeForbidden.
	Register(ctx context.Context, route Route) error

	// Unregister forgets the authenticated caller: its routes and its queue.
	Unregister(ctx context.Context, credentials Credentials) error

	// Announce sets the fields that this channel adds to AUTH replies, all at
	// once: at most 64 KiB. Values are marshalled to JSON.
	Announce(ctx context.Context, fields map[string]any) error

	// State returns the channel's durable entries whose keys begin with prefix.
	State(ctx context.Context, prefix string) (map[string][]byte, error)

	// SetState writes an entry, durable on return: a key of 1 to 256 bytes, a
	// value of at most 64 KiB, and all entries together at most 1 MiB. A nil or
	// empty value deletes it.
	SetState(ctx context.Context, key string, value []byte) error

	// CheckToken checks that a token is one, whatever it may do.
	CheckToken(ctx context.Context, credentials Credentials) error
}

// Credentials are a caller's, as it sent them. The core checks them, so that
// no token needs to be in a plugin.
type Credentials struct {
	Token string // the relay's, or another of its operator's that may do less
	Auth  string // the session from an earlier AUTH
	// Trusted lets the caller in without a token. It needs the right
	// AcceptWithoutToken. A given Auth is still checked.
	Trusted bool
	Remote  string // the caller's address without port, for limits; "" is not counted
}

// Publish is a message to send.
type Publish struct {
	// Credentials are the sender's. The session in them, if any, is who the
	// message is from.
	Credentials Credentials
	SendType    SendType // Personal or Group
	Target      string   // the receiver's name or the group's
	Text        string   // with Desp and Extra at most 1 MiB
	Desp        string   // "" is none
	Extra       []byte   // a JSON object; empty stands for {}
	// Wait is how long to wait for the receivers, at most 10 min. 0: return as
	// soon as the message is on disk.
	Wait time.Duration
	// IdempotencyKey is what the sender calls the message by, 1 to 256 bytes, so
	// that it can send it again without sending it twice: within 24 h the same
	// key of the same sender queues nothing, and tells what became of the first.
	// "" is none.
	IdempotencyKey string
	// Queued, if set, is called once, when the request is in line behind all
	// that this plugin has sent before: what begins from then on cannot overtake
	// it. It must not block. It is not called if the request is refused, or ctx
	// ends, before that.
	Queued func()
}

// Published is what became of a message so far.
type Published struct {
	// MID is 0 if there was nobody to send it to.
	MID int64
	// Statuses has the wire's word for each receiver.
	Statuses []Status
}

// Status is one receiver's status word.
type Status struct {
	Receiver string // a name
	Status   string // "ok", "wait", "ready", "NAME-ok", …
}

// ClientCommand is a client's command for whatever channel claims it.
type ClientCommand struct {
	// Credentials are the client's; they need its session.
	Credentials Credentials
	Name        string // the packet's cmd
	Data        []byte // the packet's data, JSON of at most 1 MiB; empty is none
	// Queued is as that of Publish.
	Queued func()
}

// Session is what an authenticated client gets.
type Session struct {
	Auth string // opaque to clients
	// Generation identifies an attachment; 0 from Authenticate.
	Generation uint64
	// Announcements are the fields that channels add to AUTH replies, JSON.
	Announcements map[string][]byte
}

// Attach asks for a receiver's route.
type Attach struct {
	// Credentials are the client's: the token, or Trusted.
	Credentials Credentials
	Name        string // of the receiver: 1 to 256 bytes of UTF-8 without control characters
	Group       string // likewise; "" is none
	Policy      Policy // how the core treats the route
	Address     []byte // the channel's own; it comes back with each Delivery
	// Ready, if set, is called with the session before any Dispatch of this
	// attachment and before Evict of the one that it replaces. It must not
	// block. It is not called when the attach is refused.
	Ready func(Session)
}

// Confirm is an acknowledgement by a client.
type Confirm struct {
	// Credentials say whose it is. A plugin that was given the caller in a
	// Command sets Receiver instead.
	Credentials Credentials
	Receiver    string // instead of Credentials
	MID         int64  // of the message
	// HandoffOnly confirms this channel's hand-off ("NAME-ok-comfirm") instead
	// of acknowledging the message ("ok").
	HandoffOnly bool
}
