package link

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

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

// call is a claimed command that was not answered yet. Its asker may have got an
// answer by then: it is overdue, and the plugin may still act on it in good faith.
type call struct {
	overdue  bool
	from     *Link
	request  uint64
	to       *Link
	receiver string
	asker    caller
	bytes    int
	timeout  *time.Timer
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
	if len(commands) > maxClaims {
		return fmt.Errorf("it claims %d commands, %d are allowed", len(commands), maxClaims)
	}
	for _, command := range commands {
		if len(command) > maxCommandBytes {
			return fmt.Errorf("it claims a command of %d bytes, %d are allowed", len(command), maxCommandBytes)
		}
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

// Claims returns the commands that each channel answers.
func (s *Switchboard) Claims() map[string][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string][]string)
	for command, channel := range s.claims {
		all[channel] = append(all[channel], command)
	}
	return all
}

// Replace sets the claims of several channels at once. A channel without an
// entry in manifests is gone, and so are its claims and what it announced.
func (s *Switchboard) Replace(channels []string, manifests map[string][]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.claims, func(_, holder string) bool { return slices.Contains(channels, holder) })
	for _, channel := range channels {
		commands, stays := manifests[channel]
		if !stays {
			delete(s.announcements, channel)
		}
		for _, command := range commands {
			s.claims[command] = channel
		}
	}
}

// Bounds of what one channel may claim.
const (
	maxClaims       = 64
	maxCommandBytes = 64
)

// coreCommands are served by the core itself, whatever way they come.
var coreCommands = []string{"AUTH", "MESSAGE", "MESSAGE_CALLBACK", "UNREGISTER"}

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
	s.links[l.Channel] = l
}

// disconnect answers what the link will not answer any more.
func (s *Switchboard) disconnect(l *Link) {
	s.mu.Lock()
	var broken []call
	for id, c := range s.calls {
		switch {
		case c.to == l:
			s.drop(id, c)
			if !c.overdue {
				broken = append(broken, c)
			}
		case c.from == l:
			s.detach(id, c)
		}
	}
	if s.links[l.Channel] == l {
		delete(s.links, l.Channel)
	}
	s.mu.Unlock()
	for _, c := range broken {
		c.from.answerCommand(c.request, "", unavailable())
	}
}

func unavailable() *pluginpb.Error {
	return refusal(pluginpb.ErrorCode_ERROR_CODE_UNAVAILABLE, "temporarily unavailable")
}

// maxCalls and maxCallBytes bound the unanswered commands of one plugin: there is
// room for all clients that come back at once after a restart. As many again may
// be overdue. callPatience is the time that it has for one.
const (
	maxCalls     = 4096
	maxCallBytes = 16 << 20
	callPatience = 30 * time.Second
)

// detach ends a call for its asker; the plugin has still to answer it. Call with mu
// held.
func (s *Switchboard) detach(id uint64, c call) {
	if c.to.overdue >= maxCalls {
		s.drop(id, c)
		return
	}
	c.timeout.Stop()
	c.to.calls--
	c.to.callBytes -= c.bytes
	c.to.overdue++
	s.calls[id] = call{overdue: true, to: c.to, receiver: c.receiver}
}

// drop ends a call. Call with mu held.
func (s *Switchboard) drop(id uint64, c call) {
	delete(s.calls, id)
	if c.overdue {
		c.to.overdue--
	} else {
		c.timeout.Stop()
		c.to.calls--
		c.to.callBytes -= c.bytes
	}
	left := slices.DeleteFunc(c.to.serving[c.receiver], func(other uint64) bool { return other == id })
	if c.to.serving[c.receiver] = left; len(left) == 0 {
		delete(c.to.serving, c.receiver)
	}
}

// expire answers a call in the place of a plugin that does not.
func (s *Switchboard) expire(id uint64) {
	s.mu.Lock()
	c, ok := s.calls[id]
	ok = ok && !c.overdue
	if ok {
		s.detach(id, c)
	}
	s.mu.Unlock()
	if ok {
		c.to.Conduct.note(Unanswered)
		c.from.answerCommand(c.request, "", unavailable())
	}
}

// call passes a command on. The answer goes to from when it comes.
func (s *Switchboard) call(from *Link, request uint64, asker caller, command *pluginpb.ClaimedCommand) {
	s.mu.Lock()
	channel, claimed := s.claims[command.Command]
	to := s.links[channel]
	var problem *pluginpb.Error
	switch {
	case !claimed:
		problem = refusal(pluginpb.ErrorCode_ERROR_CODE_UNKNOWN_COMMAND, fmt.Sprintf("unknown cmd %q", clip(command.Command, 64)))
	case to == nil || to.calls >= maxCalls || to.callBytes >= maxCallBytes:
		problem = unavailable()
	default:
		s.lastCall++
		id := s.lastCall
		command.Id = id
		to.calls++
		to.callBytes += len(command.Data)
		to.serving[command.Receiver] = append(to.serving[command.Receiver], id)
		s.calls[id] = call{
			from: from, request: request, to: to, receiver: command.Receiver, asker: asker, bytes: len(command.Data),
			timeout: time.AfterFunc(callPatience, func() { s.expire(id) }),
		}
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
	// The answer to a command whose asker is gone is late, and no lie.
	lie := ok && c.to != to || reply.Id == 0 || reply.Id > s.lastCall
	ok = ok && c.to == to
	if ok {
		s.drop(reply.Id, c)
	}
	s.mu.Unlock()
	if lie {
		to.Conduct.note(UnaskedReply)
	}
	if ok && !c.overdue {
		if reply.Error != nil {
			reply.Error.Message = clip(reply.Error.Message, maxErrorBytes)
		}
		c.from.answerCommand(c.request, clip(reply.Info, maxInfoBytes), reply.Error)
	}
}

// Forget ends the calls of a receiver that unregisters: what it asked for before
// must not bring it back. There is nothing to tell its client any more.
func (s *Switchboard) Forget(receiver string) {
	s.mu.Lock()
	var ended []call
	for id, c := range s.calls {
		if c.receiver == receiver && !c.overdue {
			s.detach(id, c)
			ended = append(ended, c)
		}
	}
	s.mu.Unlock()
	for _, c := range ended {
		c.from.answerCommand(c.request, "", nil)
	}
}

// serves returns whose commands of this receiver the link is answering: only then
// may it act in the receiver's name. Asked tells whether it may think that it is.
func (s *Switchboard) serves(to *Link, receiver string) (askers []caller, asked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range to.serving[receiver] {
		if c := s.calls[id]; !c.overdue {
			askers = append(askers, c.asker)
		}
	}
	return askers, len(to.serving[receiver]) > 0
}

// maxInfoBytes bounds what a plugin says to another's client.
const maxInfoBytes = 64 << 10

// clip cuts text that is too long, between two characters.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "…"
}
