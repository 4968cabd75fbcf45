//go:build linux

package kill

import (
	"context"
	"encoding/json"
	"fmt"
	"syscall"
	"testing"
	"time"

	"mpush/test/harness"
)

// healthyAfter is longer than a channel must run to be started again at once.
const healthyAfter = 6 * time.Second

// soon is how long a killed channel may be away. It takes a process's start,
// some 100 ms, on a machine that does little else.
const soon = 5 * time.Second

func TestKilledChannelServesAgainAtOnceAndTheOtherDeliversMeanwhile(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, harness.FixedPorts(t))
	timer := time.NewTimer(healthyAfter)
	defer timer.Stop()
	left, right := relay.Receiver(t, "left"), relay.Receiver(t, "right")
	<-timer.C

	outage := beginOutage(t, relay, "http")
	trips, longest := 0, time.Duration(0)
	for outage.lasts() {
		began := time.Now()
		roundTrip(t, left, right, fmt.Sprint("trip ", trips))
		trips, longest = trips+1, max(longest, time.Since(began))
	}
	took := outage.end(t)
	t.Logf("http served again %v after it was killed; meanwhile %d messages went from websocket to websocket and were acked, the longest in %v", took, trips, longest)
	if trips < 2 { // the last one may have ended later
		t.Error("no message was delivered in the outage of http")
	}

	outage = beginOutage(t, relay, "websocket")
	var mids []string
	longest = 0
	for outage.lasts() {
		began := time.Now()
		target := fmt.Sprintf("/right.send?text=%d", len(mids))
		reply := relay.Do(t, harness.Request{Target: target, Header: []string{"Prefer: wait=0"}})
		mids = append(mids, reply.Expect(t, 200,
			`{"cmd":"MESSAGE_REPLY","data":{"mid":"<mid>","status":{"right":"<status>"},"right":"<status>"}}`)["mid"])
		longest = max(longest, time.Since(began))
	}
	took = outage.end(t)
	t.Logf("websocket served again %v after it was killed; meanwhile %d messages were accepted over http, the longest in %v", took, len(mids), longest)
	if len(mids) < 2 {
		t.Error("no message was accepted in the outage of websocket")
	}
	began := time.Now()
	right = relay.Receiver(t, "right")
	for i, mid := range mids {
		if got := right.Take(t, fmt.Sprint(i)); got != mid {
			t.Fatalf("message %d has the mid %s, its sender was told %s", i, got, mid)
		}
	}
	right.ExpectNothing(t)
	t.Logf("its receiver had them %v after it came back", time.Since(began))
}

// roundTrip sends from one websocket to another and waits until the sender is
// told of the ack.
func roundTrip(t *testing.T, from, to *harness.Client, text string) {
	t.Helper()
	packet, err := json.Marshal(harness.Object{"cmd": "MESSAGE", "data": harness.Object{
		"sendType": "personal", "target": to.Name, "message": harness.Object{"text": text},
	}})
	if err != nil {
		t.Fatal(err)
	}
	from.Send(t, string(packet))
	to.Take(t, text)
	from.Expect(t, harness.MessageReply(map[string]string{to.Name: "ok"}))
}

// outage is the time in which a killed channel does not serve.
type outage struct {
	relay   *harness.Relay
	channel string
	began   time.Time
	over    chan time.Duration // gets how long it took, negative for too long
}

// beginOutage kills a channel's process and begins to look for its return.
func beginOutage(t *testing.T, relay *harness.Relay, channel string) *outage {
	t.Helper()
	o := &outage{relay: relay, channel: channel, over: make(chan time.Duration, 1)}
	pid := relay.Channel(t, channel).PID
	client := newHTTP(relay.Address(t, "http"), relay.Token, true)
	sockets, token := relay.Address(t, "websocket"), relay.Token
	o.began = time.Now()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	ended := make(chan struct{})
	t.Cleanup(func() { cancel(); <-ended })
	go func() {
		defer close(ended)
		serves := func() bool { return servesHTTP(ctx, client) }
		if channel == "websocket" {
			serves = func() bool { return servesSockets(ctx, sockets, token) }
		}
		another := func() bool { now := pluginPID(relay, channel); return now != 0 && now != pid }
		if !poll(patience, another) || !poll(patience, serves) {
			o.over <- -1
			return
		}
		o.over <- time.Since(o.began)
	}()
	return o
}

// lasts tells whether the channel is still away.
func (o *outage) lasts() bool { return len(o.over) == 0 }

// end waits for the channel and tells how long it was away: as long as it takes
// to start a process, without a pause before it.
func (o *outage) end(t *testing.T) time.Duration {
	t.Helper()
	took := <-o.over
	if took < 0 || took > soon {
		t.Errorf("channel %s was away for %v", o.channel, took)
	}
	o.relay.WaitLog(t, `msg="channel failed"`, "channel="+o.channel, "restart_in=0s")
	return took
}
