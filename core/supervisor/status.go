package supervisor

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// State is where a channel is in its life.
type State string

const (
	// Starting: the process is coming up or waits for the other channels.
	Starting State = "starting"
	// Running: Start was answered.
	Running State = "running"
	// Waiting: it failed and will be started again after a pause.
	Waiting State = "backoff"
	// Misconfigured: its configuration is wrong; it is not tried again.
	Misconfigured State = "misconfigured"
	// Down: it cannot run (wrong checksum or protocol); it is not tried again.
	Down State = "down"
	// Stopped: it was ended by Stop or Remove.
	Stopped State = "stopped"
)

// Status is a channel at one moment.
type Status struct {
	Channel string
	State   State
	// PID is the plugin's process, 0 if there is none.
	PID int
	// Restarts counts the lives after the first.
	Restarts int
	// Since is when State was entered.
	Since time.Time
	// LastError is why the last life ended, or why there is none; "" if nothing
	// went wrong so far.
	LastError string
	// Name, Version and Endpoints are what the plugin says of itself.
	Name      string
	Version   string
	Endpoints []string
	// Misconduct is what the channel's plugin was last found to do wrong, in any
	// of its lives; "" for nothing so far.
	Misconduct string
	// Unhealthy is the plugin's own complaint while it runs, "" for none.
	Unhealthy string
}

// ListenFailure is a channel that could not open a listener at its first start.
type ListenFailure struct {
	Channel string
	Reason  string
}

func (f *ListenFailure) Error() string {
	return fmt.Sprintf("channel %q cannot listen: %s", f.Channel, f.Reason)
}

// ListenError is Await's error: at least one channel could not open a listener.
// The channels are tried again all the same.
type ListenError struct {
	Failures []ListenFailure
}

func (e *ListenError) Error() string {
	var b strings.Builder
	for i, f := range e.Failures {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(f.Error())
	}
	return b.String()
}

// ErrChecksum is within the error of a plugin whose executable is not the one
// that its SHA-256 names.
var ErrChecksum = errors.New("checksum does not match")

var (
	errMisconfigured = errors.New("misconfigured")
	errProtocol      = errors.New("protocol is not served")
	errStopping      = errors.New("stopping")
)

// endsIn tells in which state a channel stays after an error that trying again
// would not mend; "" means to try again.
func endsIn(err error) State {
	switch {
	case errors.Is(err, errMisconfigured):
		return Misconfigured
	case errors.Is(err, ErrChecksum), errors.Is(err, errProtocol):
		return Down
	default:
		return ""
	}
}

// clipAll bounds a list of texts that a plugin gave.
func (o *Options) clipAll(texts []string) []string {
	const most = 64
	var kept []string
	for _, text := range texts[:min(len(texts), most)] {
		kept = append(kept, o.clip(text))
	}
	return kept
}

// clip bounds text that a plugin gave and hides what is secret in it.
func (o *Options) clip(text string) string { return clip(o.Redact(text)) }

// clip bounds text that a plugin gave, for a status or a log.
func clip(text string) string {
	const most = 1024
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
