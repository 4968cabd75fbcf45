package message

import "strings"

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

// ParseStatus reads a word back. An unknown word is "no".
func ParseStatus(word string) Status {
	for _, r := range []Rank{Ready, Wait, OK, Full, Failed} {
		if s := (Status{Rank: r}); s.String() == word {
			return s
		}
	}
	for _, r := range []Rank{ChannelConfirmed, ChannelOK, ChannelWait} {
		if name, ok := strings.CutSuffix(word, (Status{Rank: r}).String()); ok {
			return Status{Rank: r, Channel: name}
		}
	}
	return Status{}
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
