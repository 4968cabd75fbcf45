// Package sdk is what the author of a channel sees. A channel is a program
// whose main calls [Serve] with a value that implements [Plugin] and, beside
// it, the interfaces for what the channel does:
//
//   - [Configurable] names the struct that its section of the operator's config
//     is decoded into, [Validator] checks it, [Configurer] reads it otherwise
//   - [Declarer] names the receivers that this section configures
//   - [Starter] and [Stopper] open and drain listeners
//   - [Egress] (or [BatchEgress], or [Dispatcher]) brings messages to receivers
//   - [Commander] answers clients' commands that the channel claims
//   - [HealthReporter] tells how the channel is
//
// An ingress is a Starter that calls [Host.Publish]. Serve speaks the protocol
// (package pluginpb), keeps one message in flight per receiver, and ends the
// process when the core is gone. A plugin may be killed at any moment: what it
// must not lose it keeps with [Host.SetState] and [Host.Register].
//
// The life of a plugin:
//
//  1. Describe
//  2. Configure and Validate, once per process
//  3. Declare: the Host works from here on
//  4. Start
//  5. deliveries, commands, publishes
//  6. Stop, within a deadline; then the process ends
package sdk

import (
	"context"

	"mpush/sdk/pluginpb"
)

// Plugin is what every channel implements. Everything else is found by type
// assertion on the same value.
type Plugin interface {
	// Describe returns fixed facts. It may be called at any time.
	Describe() Manifest
}

// Manifest is what a plugin says of itself.
type Manifest struct {
	Name        string // what the plugin calls itself: "telegram"
	Version     string // its own version, free text
	Description string // a sentence or two for the operator
	// Commands are the client commands that this plugin answers; see Commander.
	// At most 64, of at most 64 bytes each; a command that another channel claims
	// keeps this one from starting.
	Commands []string
	// Rights are what it needs beyond carrying messages; the operator grants
	// them.
	Rights []Right
	// Roles are what the channel is, for people. None: egress if it is an
	// Egress, a BatchEgress or a Dispatcher, ingress if it is neither, but a Starter.
	Roles []Role
	// Statuses are the status words that senders may read of its deliveries,
	// with "NAME" for the channel's name ("NAME-ok"), for people.
	Statuses []Explained
	// CommandHelp says what the Commands are for, for people.
	CommandHelp []Explained
}

// Role is a way that messages go through a channel.
type Role = pluginpb.Role

const (
	// RoleIngress: messages come in by the channel.
	RoleIngress = pluginpb.Role_ROLE_INGRESS
	// RoleEgress: messages go out by it.
	RoleEgress = pluginpb.Role_ROLE_EGRESS
)

// Explained is a word of the protocol with its meaning, one sentence.
type Explained struct {
	Word    string // as it is on the wire
	Meaning string // for people
}

// Right is something that an operator must grant.
type Right = pluginpb.Right

const (
	// MasterToken fills Config.MasterToken.
	MasterToken = pluginpb.Right_RIGHT_MASTER_TOKEN
	// AcceptWithoutToken honours Credentials.Trusted.
	AcceptWithoutToken = pluginpb.Right_RIGHT_ACCEPT_WITHOUT_TOKEN
	// TakeNames lets declared receivers take their names, and the queues, from
	// clients that attached under them; else such a name is refused.
	TakeNames = pluginpb.Right_RIGHT_TAKE_NAMES
)

// Configurable names the struct that holds the channel's configuration. A
// [JSON Schema] of it is told to the core, which checks the operator's section
// before the plugin gets it and names each fault with line and column; and to
// the operator, as the channel's manual.
//
// The keys are the fields' json tags, or their names with a small first letter.
// The tags of github.com/invopop/jsonschema say more:
//
//	Token   string        `json:"token" jsonschema:"required,writeOnly=true,description=What the bot is called by"`
//	Mode    string        `json:"mode" jsonschema:"enum=fast,enum=safe"`
//	Timeout time.Duration `json:"timeout" jsonschema:"minimum=100" jsonschema_description:"How long, at most, a call may take."`
//
// writeOnly=true marks a secret: its value is kept out of the core's log. A
// description with commas has the tag jsonschema_description. A time.Duration is
// a whole number of milliseconds from 0 up, other units are named like this:
// jsonschema_extras:"x-unit=bytes". Types with a method JSONSchema()
// *jsonschema.Schema say themselves what they may hold; other types that
// unmarshal themselves from text may hold any string, from JSON anything.
// Structs are embedded by value, and without a json tag.
//
// [JSON Schema]: https://json-schema.org/draft/2020-12/schema
type Configurable interface {
	// Config returns a pointer to the struct, which holds the defaults. Unless
	// the plugin is a Configurer, the section is decoded into it as
	// Config.Decode does, once, before anything else but Describe is called.
	Config() any
}

// Validator checks what a schema cannot say.
type Validator interface {
	// Validate is called after the section was read without a fault. It has no
	// effect outside of the plugin. What is wrong comes back as errors made by
	// Invalid, several joined with errors.Join; what is only remarkable goes to
	// config.Warn.
	Validate(config *Config) error
}

// Configurer reads the operator's section by itself.
type Configurer interface {
	// Configure decodes and checks the configuration and remembers it. It has
	// no other effect: nothing listens, dials or writes. What is wrong comes
	// back as errors made by Config.Decode or Invalid, several joined with
	// errors.Join; what is only remarkable goes to Config.Warn.
	Configure(ctx context.Context, config *Config) error
}

// Declarer names the routes that the configuration itself contains. It is also
// the place for what must be ready before any channel lets clients in: reading
// state, Host.Announce.
type Declarer interface {
	// Declare returns the complete set. Routes of an earlier run that are
	// missing are retired; their queues stay. An error keeps the channel down.
	Declare(ctx context.Context, host Host) ([]Route, error)
}

// Starter begins the channel's work.
type Starter interface {
	// Start opens what the channel listens on and returns once that is open.
	// ctx ends when the plugin must: after Stop, or when the core is gone. The
	// returned endpoints ("127.0.0.1:9093") are for the log.
	Start(ctx context.Context, host Host) (endpoints []string, err error)
}

// Stopper drains.
type Stopper interface {
	// Stop stops accepting, finishes or gives up what is in flight and closes
	// connections, before ctx ends, some seconds after it was called. No delivery
	// begins any more by then, and those that run are over or were cut off. The
	// Host still works, so that outcomes and detachments are told. An error is
	// logged. It is called once, also if Start was not, and if the core is gone.
	Stop(ctx context.Context) error
}

// Egress brings messages to receivers, the simple way.
type Egress interface {
	// Deliver sends one message to one receiver and returns what became of it:
	//
	//	nil               the receiver has it (acked)
	//	HandedOff         somebody else's service has it
	//	Retry, RetryAfter try again later
	//	Permanent         this message can never be delivered: dead letter
	//	Gone              this route is no more: drop it
	//	any other error   as Retry
	//
	// The text of an error is kept on disk and shown to the operator: no secrets,
	// no urls that are one, as those of most chats are.
	//
	// It is called in a goroutine of its own, for each receiver one message at
	// a time, for different receivers at once. ctx ends when the message is
	// recalled, the route ends, or the plugin stops; the returned error then
	// does not matter.
	Deliver(ctx context.Context, delivery *Delivery) error
}

// BatchEgress brings messages to several receivers at once: for services that
// take many in one request.
type BatchEgress interface {
	// DeliverBatch sends 1 to MaxBatch deliveries, no two of them for one
	// receiver, and tells what became of each: by its Done as soon as that is
	// known, and for all that had no Done by the returned error, which means
	// what that of Egress.Deliver does. So an author calls Done for each line of
	// the service's answer and returns nil, or returns the error of the request
	// as a whole.
	//
	// What is ready when a call begins is handed over together. At most
	// MaxBatches calls run at once, each in a goroutine of its own; a receiver's
	// next message comes in a later call, after this one has returned. ctx ends
	// when the plugin stops, or when all of the deliveries were recalled or their
	// routes have ended: what is told of such a delivery does not matter.
	DeliverBatch(ctx context.Context, deliveries []*Delivery) error
}

// Dispatcher brings messages to receivers without a goroutine for each: for
// channels that hold many connections and hear of acks later. A plugin
// implements one of Egress, BatchEgress and Dispatcher, or none.
type Dispatcher interface {
	// Dispatch begins a delivery and returns at once: it must not block. The
	// outcome follows by delivery.Done, from any goroutine, or by Host.Acked.
	// Both may call Dispatch with the receiver's next message before they
	// return: hold no lock there that Dispatch takes. For one receiver there is
	// one call at a time. The same message may be dispatched again while it has
	// no outcome: send it again.
	Dispatch(delivery *Delivery)

	// Evict tells that an attachment has ended, by takeover or otherwise. Close
	// the connection behind it; no Detach is needed. It must not block. The
	// plugin may have detached it already.
	Evict(receiver string, generation uint64, why Eviction)
}

// Eviction says why an attachment has ended.
type Eviction struct {
	Cause  EvictCause // for programs
	Reason string     // the same in words, for the log and the client
}

// EvictCause is why an attachment has ended, for programs. A core may have others
// one day.
type EvictCause = pluginpb.EvictCause

const (
	// TakenOver: another connection has attached under the name. A client that
	// came again by itself would push that one out.
	TakenOver = pluginpb.EvictCause_EVICT_CAUSE_TAKEN_OVER
	// Configured: the name belongs to a configured receiver now.
	Configured = pluginpb.EvictCause_EVICT_CAUSE_CONFIGURED
	// Forgotten: the receiver was forgotten, with its queue.
	Forgotten = pluginpb.EvictCause_EVICT_CAUSE_FORGOTTEN
	// TokenEnded: the token that the client came with has ended or was changed. It
	// may come again: with a token that is good it is let in.
	TokenEnded = pluginpb.EvictCause_EVICT_CAUSE_TOKEN_ENDED
)

// Commander answers clients' commands that the manifest claims.
type Commander interface {
	// Command handles one command of an authenticated client. info is text for
	// the client, "" for nothing to say. An error (see Error) is shown to the
	// client. Called in a goroutine of its own, for each receiver one at a time
	// and in order, for 64 receivers at once. After 30 s the core answers the
	// client in the plugin's place; ctx ends only when the plugin must. A panic is
	// logged and an error.
	Command(ctx context.Context, command *Command) (info string, err error)
}

// Command is a client's command that the plugin claims.
type Command struct {
	// Name is the command, one of Manifest.Commands.
	Name string
	// Data is the packet's data, JSON of at most 1 MiB; empty for none.
	Data []byte
	// Receiver is the authenticated caller.
	Receiver string
	// Group is the caller's group, "" for none.
	Group string
}

// HealthReporter tells how the channel is.
type HealthReporter interface {
	// Health returns nil or why the channel works badly, which the operator
	// reads; at most 1 KiB is kept. It is asked every few seconds, in a goroutine
	// of its own, at any time after Configure and while other methods run. It must
	// be quick: ctx ends when the core no longer waits, and a plugin that misses
	// twice in a row is taken for hung and restarted.
	Health(ctx context.Context) error
}
