package link

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"mpush/core/engine"
)

// Vice is something that a plugin does only if it is broken or evil. None of
// them changes anything, but where it says so: each is refused, and counted.
type Vice uint8

const (
	// AckedUngiven: it acknowledged what it was never sent for that receiver.
	AckedUngiven Vice = iota
	// ForeignReceiver: it reported on a receiver that has no such route on its
	// channel.
	ForeignReceiver
	// AckedUnfounded: it acknowledged a message on a route whose policy has no acks;
	// that is taken for a hand-off of the lease that it is about.
	AckedUnfounded
	// Uninvited: it registered a receiver whose command it was not answering.
	Uninvited
	// UnaskedReply: it answered a command that it was not given.
	UnaskedReply
	// Unanswered: it left a command without an answer.
	Unanswered
	// OverLimit: it wanted to keep or announce more than a channel may.
	OverLimit
	// Flooding: it asks faster than the relay serves, and is slowed down.
	Flooding
	// ForeignTarget: it, or who it let in, sent to whom its entry does not name.
	ForeignTarget
	// ForeignName: it, or who it let in, asked for a name or a group that its
	// entry does not give it.
	ForeignName
	// TooFast: it sends more than its entry allows.
	TooFast
	// Hoarding: it holds all the messages that it may, has settled none of them
	// for a while, and others wait.
	Hoarding
	// TakenName: it asked for a name that another channel holds. Its clients may
	// have wanted that: it is logged, and no blemish.
	TakenName

	vices // how many there are
)

func (v Vice) String() string {
	return [vices]string{
		AckedUngiven:    "acknowledged a message that it was not given",
		ForeignReceiver: "reported on a receiver that it does not serve",
		AckedUnfounded:  "acknowledged a message on a route whose policy has no acks: it counts as handed off",
		Uninvited:       "registered a receiver that did not ask for it",
		UnaskedReply:    "answered a command that it was not asked",
		Unanswered:      "did not answer a command",
		OverLimit:       "wanted to keep or announce more than it may",
		Flooding:        "asks faster than it can be served and is slowed down",
		ForeignTarget:   "sent to whom it may not (targets)",
		ForeignName:     "asked for a name or a group that it may not have (receivers)",
		TooFast:         "sends more than it may (limits.publishRate)",
		Hoarding:        "holds all the messages that it may (limits.inFlight) and settles none",
		TakenName:       "asked for a name that another channel holds",
	}[v]
}

func viceOf(kind engine.MisdeedKind) Vice {
	switch kind {
	case engine.UngivenAck:
		return AckedUngiven
	case engine.ForeignRoute:
		return ForeignReceiver
	case engine.UnfoundedAck:
		return AckedUnfounded
	case engine.Hoarding:
		return Hoarding
	default:
		return Flooding
	}
}

// nameEvery is how often one vice of one channel is logged at most.
const nameEvery = 10 * time.Second

// Conduct keeps what the plugins of one channel have done wrong, over all of
// their lives, and names the channel in the log. Safe for concurrent use; nil
// keeps nothing.
type Conduct struct {
	log    *slog.Logger
	accuse func(what string)
	now    func() time.Time

	mu    sync.Mutex
	books [vices]struct {
		total  uint64
		unsaid uint64 // of total, not logged yet
		said   time.Time
	}
}

// NewConduct makes an empty one. accuse is called with what the log says of the
// channel, at most as often; it must not block.
func NewConduct(channel string, log *slog.Logger, now func() time.Time, accuse func(what string)) *Conduct {
	return &Conduct{log: log.With("channel", channel), accuse: accuse, now: now}
}

// note counts one misdeed, and logs it if nothing of its kind was logged lately.
func (c *Conduct) note(v Vice) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	book := &c.books[v]
	book.total++
	book.unsaid++
	if now := c.now(); book.said.IsZero() || now.Sub(book.said) >= nameEvery {
		book.said = now
		c.say(v)
	}
}

// flush logs what was counted and not logged: a life of the plugin is over.
func (c *Conduct) flush() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for v := range vices {
		if c.books[v].unsaid > 0 {
			c.books[v].said = c.now()
			c.say(v)
		}
	}
}

// say logs a vice with what was counted since the last time. Call with mu held.
func (c *Conduct) say(v Vice) {
	book := &c.books[v]
	if v != TakenName {
		c.accuse(fmt.Sprintf("%s (%d times so far)", v, book.total))
	}
	c.log.Warn("channel misbehaves", "vice", v.String(), "count", book.unsaid)
	book.unsaid = 0
}
