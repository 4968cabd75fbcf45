package control

import (
	"encoding/json"
	"strconv"
	"time"

	"mpush/core/engine"
	"mpush/core/message"
	"mpush/core/record"
)

// MID is a message's id, a string of digits in JSON as on the wire.
type MID int64

// MarshalText implements encoding.TextMarshaler.
func (m MID) MarshalText() ([]byte, error) { return strconv.AppendInt(nil, int64(m), 10), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *MID) UnmarshalText(text []byte) error {
	n, err := strconv.ParseInt(string(text), 10, 64)
	*m = MID(n)
	return err
}

// Time is a moment, RFC 3339 in JSON; the zero value is "".
type Time struct{ time.Time }

// At is a moment.
func At(t time.Time) Time {
	if t.IsZero() {
		return Time{}
	}
	return Time{t.UTC()}
}

// at reads Unix milliseconds, 0 for never.
func at(ms int64) Time {
	if ms == 0 {
		return Time{}
	}
	return Time{time.UnixMilli(ms).UTC()}
}

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte(`""`), nil
	}
	return t.AppendFormat(nil, `"2006-01-02T15:04:05.000Z07:00"`), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *Time) UnmarshalJSON(text []byte) error {
	if string(text) == `""` {
		*t = Time{}
		return nil
	}
	return t.Time.UnmarshalJSON(text)
}

// Status is how the relay is.
type Status struct {
	Health    Health    `json:"health"`
	Version   string    `json:"version"`
	PID       int       `json:"pid"`   // the core's
	Since     Time      `json:"since"` // when the core began
	Rates     Rates     `json:"rates"`
	Channels  []Channel `json:"channels"` // that are switched on
	Receivers int       `json:"receivers"`
	Routes    int       `json:"routes"` // that are up
	Queued    int64     `json:"queued"` // open messages, about
	// Failing are routes whose attempts fail, at most 1000.
	Failing []Failing `json:"failing"`
}

// Health tells whether all is as it should be.
type Health struct {
	OK       bool      `json:"ok"`
	Troubles []Trouble `json:"troubles"`
}

// Trouble is a channel that does not do its work, or the relay itself.
type Trouble struct {
	Channel string `json:"channel"` // "": the relay
	Since   Time   `json:"since"`   // "": not known
	Reason  string `json:"reason"`
}

// Rates are messages a second, counted by their receivers: a message to three
// counts three times.
type Rates struct {
	Accepted float64 `json:"accepted"`
	Acked    float64 `json:"acked"`
	Seconds  float64 `json:"seconds"` // that they are taken over: the last minute, or since the start
}

// Channel is one channel's process.
type Channel struct {
	Name    string `json:"name"`
	Bundled bool   `json:"bundled,omitempty"`
	// Pinned: its executable is the one that the configuration names by its
	// SHA-256, or the relay's own.
	Pinned    bool     `json:"pinned"`
	Version   string   `json:"version,omitempty"` // as the plugin says
	State     string   `json:"state"`
	Since     Time     `json:"since"` // when State was entered
	PID       int      `json:"pid,omitempty"`
	Restarts  int      `json:"restarts"`
	Endpoints []string `json:"endpoints,omitempty"`
	Error     string   `json:"error,omitempty"` // why its last life ended
	// Unhealthy is its own complaint, Misconduct what it was last found to do
	// wrong.
	Unhealthy  string `json:"unhealthy,omitempty"`
	Misconduct string `json:"misconduct,omitempty"`
	// Memory is what its process group has resident, in bytes; 0: not known.
	Memory int64 `json:"memory,omitempty"`
	// Queued are the open messages of the receivers that have a route on it, be
	// it that another channel has them; InFlight are those that it holds.
	// MaxInFlight is how many it may hold, 0 for any number, and Waiting how many
	// receivers wait until it holds less.
	Queued      int64 `json:"queued"`
	InFlight    int   `json:"inFlight"`
	MaxInFlight int   `json:"maxInFlight,omitempty"`
	Waiting     int   `json:"waiting,omitempty"`
}

// Running is the state of a channel that does its work.
const Running = "running"

// Disabled is the state of a channel that is switched off. It has no process;
// what is queued for it stays.
const Disabled = "disabled"

// Failing is a receiver that cannot be reached on a channel. Its next attempt is
// the only thing that it costs.
type Failing struct {
	Receiver string `json:"receiver"`
	Channel  string `json:"channel"`
	Failures int    `json:"failures"` // in a row
	Next     Time   `json:"next"`     // when it is tried again
	Error    string `json:"error,omitempty"`
}

// Message is what a sender sent.
type Message struct {
	MID        MID             `json:"mid"`
	SendType   string          `json:"sendType"`
	Target     string          `json:"target"`
	FromMethod string          `json:"fromMethod"`
	FromName   string          `json:"fromName"`
	Text       string          `json:"text"`
	Desp       string          `json:"desp"`
	Extra      json.RawMessage `json:"extra"`
	AcceptedAt Time            `json:"acceptedAt"`
	ExpiresAt  Time            `json:"expiresAt"` // "": never
}

// Delivery is what became of a message for one receiver.
type Delivery struct {
	Receiver string `json:"receiver"`
	Seq      int64  `json:"seq"`    // its place in the receiver's queue, from 1
	State    string `json:"state"`  // open, acked, handed-off or dead
	Status   string `json:"status"` // the sender's word
	Reason   string `json:"reason,omitempty"`
	Error    string `json:"error,omitempty"` // the last failure
	Tries    int    `json:"tries"`
	SentAt   Time   `json:"sentAt"`           // first; "": never
	EndedAt  Time   `json:"endedAt"`          // "": it is open
	Routes   []Way  `json:"routes,omitempty"` // where it can go, while it is open
}

// Way is one of the receiver's routes as seen from an open message.
type Way struct {
	Channel string `json:"channel"`
	// State is down (the receiver is away), queued (behind others), in-flight,
	// paused (an attempt failed) or passed (the route is done with it).
	State   string `json:"state"`
	Attempt int    `json:"attempt,omitempty"` // of what is in flight or paused
	Next    Time   `json:"next"`              // when it is sent again; "": not set
}

// Send is a message to be sent.
type Send struct {
	SendType       string          `json:"sendType,omitempty"` // personal, the default, or group
	Target         string          `json:"target"`
	Text           string          `json:"text,omitempty"`
	Desp           string          `json:"desp,omitempty"`
	Extra          json.RawMessage `json:"extra,omitempty"`  // an object
	WaitMs         int64           `json:"waitMs,omitempty"` // for all statuses to be final, at most 10 minutes
	IdempotencyKey string          `json:"idempotencyKey,omitempty"`
}

// Sent is what became of it so far.
type Sent struct {
	MID    MID               `json:"mid"`    // "0": nobody was there to send it to, or all queues are full
	Status map[string]string `json:"status"` // by receiver, the sender's words
}

// Receiver is a name that messages are sent to.
type Receiver struct {
	Name        string `json:"name"`
	Group       string `json:"group"`  // "": none
	Queued      int64  `json:"queued"` // open messages, about
	QueuedBytes int64  `json:"queuedBytes"`
	OldestMID   MID    `json:"oldestMid"` // of what waits longest; "0": nothing waits
	Oldest      Time   `json:"oldest"`    // when that was accepted
	// SeenAt is when it was last here. While it is, that may be when it came, or a
	// day before for one that comes more often.
	SeenAt Time    `json:"seenAt"`
	Routes []Route `json:"routes"`
}

// Route is a receiver on a channel.
type Route struct {
	Channel string `json:"channel"`
	// Kind is attached (it comes and goes with a connection), declared (by the
	// configuration), registered (by a client) or retired (declared once).
	Kind     string `json:"kind"`
	Off      bool   `json:"off,omitempty"` // its channel is switched off
	Up       bool   `json:"up"`
	InFlight int    `json:"inFlight"`
	Failures int    `json:"failures,omitempty"` // in a row
	Next     Time   `json:"next"`               // of the next attempt; "": none is waited for
	Error    string `json:"error,omitempty"`
}

// Receivers are some of them, by name.
type Receivers struct {
	Receivers []Receiver `json:"receivers"`
	After     string     `json:"after"` // where the next page begins, "" if there is none
}

// Trace is all that is known of a message.
type Trace struct {
	Message    Message    `json:"message"`
	Deliveries []Delivery `json:"deliveries"`
}

// DeadLetter is a message that one receiver did not get.
type DeadLetter struct {
	Message  Message  `json:"message"`
	Delivery Delivery `json:"delivery"`
}

// DeadLetters are some of them.
type DeadLetters struct {
	Letters []DeadLetter `json:"letters"`
	// Below is where the next page begins, "0" if there is none.
	Below MID `json:"below"`
}

// Letter names a dead letter.
type Letter struct {
	MID      MID    `json:"mid"`
	Receiver string `json:"receiver"`
}

// Account is one receiver's balance, or that of all.
type Account struct {
	Receiver  string `json:"receiver"`
	Forgotten bool   `json:"forgotten,omitempty"` // the name may belong to another since
	Accepted  int64  `json:"accepted"`
	Acked     int64  `json:"acked"`
	HandedOff int64  `json:"handedOff"`
	Dead      int64  `json:"dead"`
	Pending   int64  `json:"pending"`
	Balanced  bool   `json:"balanced"` // accepted is the sum of the others
}

// Audit is the balance of all receivers.
type Audit struct {
	Balanced bool      `json:"balanced"`
	Total    Account   `json:"total"`
	Accounts []Account `json:"accounts"`
}

// Backup is a copy that was made.
type Backup struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
}

func messageOf(m *message.Message) Message {
	extra := json.RawMessage(m.Extra)
	if len(extra) == 0 {
		extra = json.RawMessage("{}")
	}
	sendType := "personal"
	if m.SendType == message.Group {
		sendType = "group"
	}
	return Message{
		MID: MID(m.MID), SendType: sendType, Target: m.Target, FromMethod: m.FromMethod, FromName: m.FromName,
		Text: m.Text, Desp: m.Desp, Extra: extra, AcceptedAt: at(m.AcceptedAt), ExpiresAt: at(m.ExpiresAt),
	}
}

func deliveryOf(it *record.Item) Delivery {
	state := map[record.State]string{record.Open: "open", record.Acked: "acked", record.HandedOff: "handed-off", record.Dead: "dead"}[it.State]
	return Delivery{
		Receiver: it.Receiver, Seq: int64(it.Seq), State: state, Status: it.Status.String(), Reason: it.Reason, Error: it.Error,
		Tries: it.Tries, SentAt: at(it.SentAt), EndedAt: at(it.EndedAt),
	}
}

func accountOf(a *record.Account) Account {
	return Account{
		Receiver: a.Receiver, Forgotten: a.Forgotten, Accepted: a.Accepted, Acked: a.Acked, HandedOff: a.HandedOff,
		Dead: a.Dead, Pending: a.Pending, Balanced: a.Balanced(),
	}
}

func wayOf(w engine.Way) Way {
	way := Way{Channel: w.Channel, State: "queued", Attempt: w.Attempt, Next: at(w.Next)}
	switch {
	case w.InFlight:
		way.State = "in-flight"
	case w.Paused:
		way.State = "paused"
	case w.Passed:
		way.State = "passed"
	case !w.Up:
		way.State = "down"
	}
	return way
}
