//go:build linux

package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"mpush/test/harness"
)

// patience bounds what is waited for. It is beyond the time that a stopped
// process takes to be found hung.
const patience = 60 * time.Second

// sender sends one message after the other, each when it knows what became of
// the one before, or that it will not know.
type sender struct {
	name   string
	method string
	ledger *ledger
	rand   *rand.Rand
	number int
	keyed  bool // sends what it does not know of again
	firm   bool // with keyed: and what was refused
	via    carrier
}

// carrier takes a message to the relay and waits for the answer.
type carrier interface {
	// send returns the body of the answer. An error for which unsent is true
	// means that the message can not have reached the relay.
	send(ctx context.Context, s *send, wait time.Duration) (body []byte, err error)
	// cut breaks the connection off at any moment.
	cut()
	close()
}

// next makes a message to the receiver or group.
func (s *sender) next(sendType, target string) *send {
	s.number++
	return &send{
		text: fmt.Sprintf("%s %d", s.name, s.number), sender: s.name, number: s.number, method: s.method,
		sendType: sendType, target: target, keyed: s.keyed,
	}
}

// extra is that of the message, nil for none.
func (s *send) extra() harness.Object {
	if s.ttl == 0 {
		return nil
	}
	return harness.Object{"ttl": int(s.ttl.Seconds())}
}

// desp is what fills a message up to its size.
func (s *send) desp() string { return strings.Repeat(s.text+" ", s.size/(len(s.text)+1)+1)[:s.size] }

// send sends one message and notes what its sender learns. A keyed one is sent
// again and again until the sender knows.
func (s *sender) send(ctx context.Context, m *send, wait time.Duration) {
	s.ledger.sending(time.Now(), m)
	limit, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for tries := 1; ; tries++ {
		reply, f, why := s.try(ctx, m, wait)
		switch {
		case f == accepted:
			s.ledger.answered(time.Now(), m, reply.mid, reply.statuses)
			return
		case m.keyed && (f == unknown || tries > 1 || s.firm) && pause(limit, 20*time.Millisecond):
			s.ledger.again(m, why)
		default:
			if tries > 1 {
				f = unknown // the first may have come through
			}
			s.ledger.unanswered(time.Now(), m, f, why)
			return
		}
	}
}

// reply is what a sender is told.
type reply struct {
	mid      int64
	statuses map[string]string
}

// try sends a message once. Why tells why it is not accepted.
func (s *sender) try(ctx context.Context, m *send, wait time.Duration) (r reply, f fate, why string) {
	body, err := s.via.send(ctx, m, wait)
	if errors.Is(err, errStrange) {
		s.ledger.wrong(s.name, "the answer to %q is: %v", m.text, err)
	}
	if err != nil {
		if unsent(err) {
			return reply{}, refused, err.Error()
		}
		return reply{}, unknown, err.Error()
	}
	var packet struct {
		Cmd  string
		Data json.RawMessage
	}
	var data struct {
		MID    string
		Status map[string]string
	}
	err = json.Unmarshal(body, &packet)
	switch {
	case err == nil && packet.Cmd == "INFO":
		return reply{}, refused, string(packet.Data) // an error never queues anything
	case err == nil && packet.Cmd == "MESSAGE_REPLY":
		if err = json.Unmarshal(packet.Data, &data); err == nil {
			r.mid, err = strconv.ParseInt(data.MID, 10, 64)
		}
	default:
		err = errStrange
	}
	if err != nil {
		s.ledger.wrong(s.name, "the answer to %q is %q", m.text, body)
		return reply{}, unknown, "the answer is strange"
	}
	r.statuses = data.Status
	return r, accepted, ""
}

// target is whom a message may go to.
type target struct{ sendType, name string }

// maxDesp is the size of the largest messages, in bytes: more than sockets and
// windows hold.
const maxDesp = 300_000

// run sends until ctx ends, at most one message at a time while open is locked
// for reading: whoever locks it for writing knows that nothing is under way.
func (s *sender) run(ctx context.Context, open locker, targets []target) {
	defer s.via.close()
	for pause(ctx, time.Duration(s.rand.Int64N(int64(20*time.Millisecond)))) {
		to, wait := targets[s.rand.IntN(len(targets))], time.Duration(0)
		if s.rand.IntN(4) == 0 {
			wait = time.Second
		}
		size := 0
		if s.rand.IntN(20) == 0 {
			size = s.rand.IntN(maxDesp)
		}
		open.Lock()
		if ctx.Err() == nil {
			m := s.next(to.sendType, to.name)
			m.size = size
			if s.rand.IntN(20) == 0 {
				m.ttl = time.Duration(1+s.rand.IntN(3)) * time.Second
			}
			s.send(ctx, m, wait)
		}
		open.Unlock()
	}
}

type locker interface {
	Lock()
	Unlock()
}

// pause lets time pass, as people and programs do between two sends, and tells
// whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
