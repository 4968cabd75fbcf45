package link

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"mpush/sdk/pluginpb"
)

// Switchboard passes clients' commands from the plugin that got them to the one
// that claims them, and keeps what channels announce. Claims and announcements
// of a channel outlive its process, so that a restart is not seen as their
// absence. Safe for concurrent use.
type Switchboard struct {
	mu            sync.Mutex
	claims        map[string]string // command → channel
	announcements map[string]map[string][]byte
	links         map[string]*Link // by channel, while the stream is open
	calls         map[uint64]call
	lastCall      uint64
}

// call is a claimed command that was not answered yet.
type call struct {
	from     *Link
	request  uint64
	to       *Link
	receiver string
}

// NewSwitchboard makes an empty one.
func NewSwitchboard() *Switchboard {
	return &Switchboard{
		claims:        make(map[string]string),
		announcements: make(map[string]map[string][]byte),
		links:         make(map[string]*Link),
		calls:         make(map[uint64]call),
	}
}

// Claim sets the commands that a channel answers, all at once. A command that
// another channel claims is an error, and nothing is changed.
func (s *Switchboard) Claim(channel string, commands []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, command := range commands {
		if holder, ok := s.claims[command]; ok && holder != channel {
			return fmt.Errorf("the command %q is claimed by channel %q already", command, holder)
		}
		if slices.Contains(coreCommands, command) {
			return fmt.Errorf("the command %q can not be claimed", command)
		}
	}
	maps.DeleteFunc(s.claims, func(_, holder string) bool { return holder == channel })
	for _, command := range commands {
		s.claims[command] = channel
	}
	return nil
}

// coreCommands are served by the core itself, whatever way they come.
var coreCommands = []string{"AUTH", "MESSAGE", "MESSAGE_CALLBACK", "UNREGISTER"}

// Release ends a channel's claims and announcements: it was removed.
func (s *Switchboard) Release(channel string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.claims, func(_, holder string) bool { return holder == channel })
	delete(s.announcements, channel)
}

func (s *Switchboard) announce(channel string, fields map[string][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.announcements[channel] = fields
}

// announced returns the fields of all channels; of equal names the
// alphabetically first channel's.
func (s *Switchboard) announced() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.announcements) == 0 {
		return nil
	}
	all := make(map[string][]byte)
	for _, channel := range slices.Sorted(maps.Keys(s.announcements)) {
		for name, value := range s.announcements[channel] {
			if _, taken := all[name]; !taken {
				all[name] = value
			}
		}
	}
	return all
}

func (s *Switchboard) connect(l *Link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links[l.channel] = l
}

// disconnect answers what the link will not answer any more.
func (s *Switchboard) disconnect(l *Link) {
	s.mu.Lock()
	var broken []call
	for id, c := range s.calls {
		if c.to == l || c.from == l {
			delete(s.calls, id)
			if c.to == l {
				broken = append(broken, c)
			}
		}
	}
	if s.links[l.channel] == l {
		delete(s.links, l.channel)
	}
	s.mu.Unlock()
	for _, c := range broken {
		c.from.answerCommand(c.request, "", unavailable())
	}
}

func unavailable() *pluginpb.Error {
	return refusal(pluginpb.ErrorCode_ERROR_CODE_UNAVAILABLE, "temporarily unavailable")
}

// maxCalls bounds the unanswered commands of all plugins together.
const maxCalls = 4096

// call passes a command on. The answer goes to from when it comes.
func (s *Switchboard) call(from *Link, request uint64, command *pluginpb.ClaimedCommand) {
	s.mu.Lock()
	channel, claimed := s.claims[command.Command]
	to := s.links[channel]
	var problem *pluginpb.Error
	switch {
	case !claimed:
		problem = refusal(pluginpb.ErrorCode_ERROR_CODE_UNKNOWN_COMMAND, fmt.Sprintf("unknown cmd %q", clip(command.Command, 64)))
	case to == nil || len(s.calls) >= maxCalls:
		problem = unavailable()
	default:
		s.lastCall++
		command.Id = s.lastCall
		s.calls[command.Id] = call{from: from, request: request, to: to, receiver: command.Receiver}
	}
	s.mu.Unlock()
	if problem != nil {
		from.answerCommand(request, "", problem)
		return
	}
	to.out.post(&pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Command{Command: command}})
}

// reply takes a plugin's answer to a call; one that was not asked is ignored.
func (s *Switchboard) reply(to *Link, reply *pluginpb.CommandReply) {
	s.mu.Lock()
	c, ok := s.calls[reply.Id]
	if ok && c.to == to {
		delete(s.calls, reply.Id)
	}
	s.mu.Unlock()
	if ok && c.to == to {
		c.from.answerCommand(c.request, reply.Info, reply.Error)
	}
}

// serves tells whether the link is answering a command of this receiver: only
// then may it act in the receiver's name.
func (s *Switchboard) serves(to *Link, receiver string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c.to == to && c.receiver == receiver {
			return true
		}
	}
	return false
}

func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return text[:n] + "…"
}
