package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"mpush/test/harness"
)

func showMessageReachesAConnectedReceiverAndItsAckTheSender(t *testing.T, w wire) {
	relay := w.open
	phone := relay.Receiver(t, "connected")
	answer := relay.Begin(t, harness.Request{Target: "/connected.send?text=hello&desp=world"})
	mid := phone.Expect(t, `{"cmd":"MESSAGE","data":{"sendType":"personal","target":"connected",
		"from":{"method":"http","name":""},"mid":"<mid>",
		"message":{"text":"hello","desp":"world","extra":{}}}}`)["mid"]
	phone.Ack(t, mid)
	if got := answer().ExpectStatuses(t, statuses{"connected": "ok"}); got != mid {
		t.Errorf("the reply is about %s, the message was %s", got, mid)
	}
	phone.ExpectNothing(t)
}

func TestMessageForAReceiverThatIsAwayIsReadyAtTheTimeoutAndDeliveredOnConnect(t *testing.T) {
	t.Parallel()
	const wait = 500 * time.Millisecond
	relay := harness.Start(t, harness.Object{"http": harness.Object{"waitTimeout": wait.Milliseconds()}})
	relay.Away(t, "phone", "")
	began := time.Now()
	reply := relay.Get(t, "/phone.send?text=later")
	if took := time.Since(began); took < wait {
		t.Errorf("the answer came after %v, before waitTimeout", took)
	}
	mid := reply.ExpectStatuses(t, statuses{"phone": "ready"})
	phone := relay.Receiver(t, "phone")
	if got := phone.Take(t, "later"); got != mid {
		t.Errorf("mid %s was delivered, %s was answered", got, mid)
	}
	phone.ExpectNothing(t)
}

func TestUnknownReceiverIsAnsweredAtOnceWithNoAndWithoutAMid(t *testing.T) {
	t.Parallel()
	const wait = time.Hour // which an answer at once does not take
	relay := harness.Start(t, harness.Object{"http": harness.Object{"waitTimeout": wait.Milliseconds()}})
	reply := relay.Get(t, "/ghost.send?text=hello")
	reply.Expect(t, 200, `{"cmd":"MESSAGE_REPLY","data":{"status":{"ghost":"no"},"ghost":"no"}}`)
	relay.Receiver(t, "ghost").ExpectNothing(t)
}

func TestGroupOfThreeWithOneAwayIsAnsweredOkOkReady(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, harness.Object{"http": harness.Object{"waitTimeout": 5000}})
	first, second := relay.Member(t, "first", "family"), relay.Member(t, "second", "family")
	relay.Away(t, "third", "family")
	stranger := relay.Receiver(t, "stranger")
	answer := relay.Begin(t, harness.Request{Target: "/family.group?text=dinner"})
	for _, member := range []*harness.Client{first, second} {
		mid := member.Expect(t, `{"cmd":"MESSAGE","data":{"sendType":"group","target":"family",
			"from":{"method":"http","name":""},"mid":"<mid>",
			"message":{"text":"dinner","desp":"","extra":{}}}}`)["mid"]
		member.Ack(t, mid)
	}
	mid := answer().ExpectStatuses(t, statuses{"first": "ok", "second": "ok", "third": "ready"})
	if got := relay.Member(t, "third", "family").Take(t, "dinner"); got != mid {
		t.Errorf("the third got mid %s, the group was sent %s", got, mid)
	}
	stranger.ExpectNothing(t)
}

func showCoreAndChannelsAreThreeProcesses(t *testing.T, w wire) {
	relay := w.open
	processes := relay.Processes()
	if len(processes) == 0 {
		t.Skip("processes are found in /proc, which is not here")
	}
	if len(processes) != 3 {
		t.Fatalf("the relay consists of %v", processes)
	}
	for _, p := range processes {
		if p.PID != relay.PID() && p.Parent != relay.PID() {
			t.Errorf("%v has the parent %d, which is not the core", p, p.Parent)
		}
	}
	for _, name := range []string{"http", "websocket"} {
		pid := relay.Channel(t, name).PID
		runs := func(p harness.Process) bool {
			return p.PID == pid && strings.HasSuffix(strings.Join(p.Args, " "), "plugin run "+name)
		}
		if pid == relay.PID() || !slices.ContainsFunc(processes, runs) {
			t.Errorf("channel %s, pid %d, is not among the subprocesses %v", name, pid, processes)
		}
	}
}
