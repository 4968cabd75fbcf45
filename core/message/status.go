package message

// Rank orders statuses; a status only ever rises.
type Rank uint8

const (
	No Rank = iota
	Ready
	Wait
	ChannelWait      // NAME-wait
	ChannelOK        // NAME-ok
	ChannelConfirmed // NAME-ok-comfirm, the wire's spelling
	OK
	Full
	Failed
)

// Status is what a sender is told of one receiver. The zero value is "no".
type Status struct {
	Rank Rank
	// Channel is the NAME of the three channel ranks, else "".
	Channel string
}

// String is the wire's word.
func (s Status) String() string {
	switch s.Rank {
	case Ready:
		return "ready"
	case Wait:
		return "wait"
	case ChannelWait:
		return s.Channel + "-wait"
	case ChannelOK:
		return s.Channel + "-ok"
	case ChannelConfirmed:
		return s.Channel + "-ok-comfirm"
	case OK:
		return "ok"
	case Full:
		return "full"
	case Failed:
		return "failed"
	default:
		return "no"
	}
}

// Final reports whether s can never change, whatever the receiver's routes do.
func (s Status) Final() bool {
	return s.Rank == No || s.Rank >= OK
}

// Max returns the higher status. A final s stays, and so does s of two equal
// ranks.
func (s Status) Max(t Status) Status {
	if s.Rank < OK && t.Rank > s.Rank {
		return t
	}
	return s
}
