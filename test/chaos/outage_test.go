//go:build linux

package chaos

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

func TestKilledChannelServesAgainAtOnceAndTheOtherDeliversMeanwhile(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, harness.FixedPorts(t))
	timer := time.NewTimer(healthyAfter)
	defer timer.Stop()
	left, right := relay.Receiver(t, "left"), relay.Receiver(t, "right")
	<-timer.C

	way := &trips{from: left, to: right}
	trip := func() { way.one(t, "trip") }
	var mids []string
	send := func() {
		target := fmt.Sprintf("/right.send?text=%d", len(mids))
		reply := relay.Do(t, harness.Request{Target: target, Header: []string{"Prefer: wait=0"}})
		mids = append(mids, reply.Expect(t, 200,
			`{"cmd":"MESSAGE_REPLY","data":{"mid":"<mid>","status":{"right":"<status>"},"right":"<status>"}}`)["mid"])
	}
	killTwice(t, relay, "http", trip)
	killTwice(t, relay, "websocket", send)

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

// killTwice kills a healthy channel, which must serve again at once, and kills
// that as well, so that there is a pause before the next start. In both outages
// the other channel does its work.
func killTwice(t *testing.T, relay *harness.Relay, channel string, work func()) {
	t.Helper()
	kill := func(when string) (done int) {
		t.Helper()
		o := beginOutage(t, relay, channel)
		longest := time.Duration(0)
		for o.lasts() {
			began := time.Now()
			work()
			done, longest = done+1, max(longest, time.Since(began))
		}
		t.Logf("%s, killed (%s), served again after %v; meanwhile the other channel delivered or took %d messages, the longest in %v",
			channel, when, o.end(t).Round(time.Millisecond), done, longest.Round(time.Millisecond))
		return done
	}
	kill("healthy")
	relay.WaitLog(t, `msg="channel failed"`, "channel="+channel, "restart_in=0s")
	for try := 1; kill("again") < 2; try++ { // the last one may have ended later
		if try == 3 { // a busy machine may hold one up for the whole of an outage
			t.Fatal("no message went through the other channel in three outages")
		}
	}
}

// trips go from one websocket to another.
type trips struct {
	from, to *harness.Client
	last     string // mid
}

// one sends a message and waits until the sender is told of the ack.
func (r *trips) one(t *testing.T, text string) {
	t.Helper()
	packet, err := json.Marshal(harness.Object{"cmd": "MESSAGE", "data": harness.Object{
		"sendType": "personal", "target": r.to.Name, "message": harness.Object{"text": text},
	}})
	if err != nil {
		t.Fatal(err)
	}
	r.from.Send(t, string(packet))
	m := r.to.NextMessage(t)
	for m.MID == r.last { // again, since its ack was late
		m = r.to.NextMessage(t)
	}
	if m.Text != text {
		t.Fatalf("%q came instead of %q", m.Text, text)
	}
	r.to.Ack(t, m.MID)
	r.last = m.MID
	r.from.Expect(t, harness.MessageReply(map[string]string{r.to.Name: "ok"}))
}

// outage is the time in which a killed channel does not serve.
type outage struct {
	channel string
	began   time.Time
	over    chan time.Duration // gets how long it took, negative for too long
}

// beginOutage kills a channel's process and begins to look for its return.
func beginOutage(t *testing.T, relay *harness.Relay, channel string) *outage {
	t.Helper()
	o := &outage{channel: channel, over: make(chan time.Duration, 1)}
	pid := pluginPID(relay, channel)
	if pid == 0 {
		t.Fatalf("channel %s has no process", channel)
	}
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

// end waits for the channel and tells how long it was away.
func (o *outage) end(t *testing.T) time.Duration {
	t.Helper()
	took := <-o.over
	if took < 0 {
		t.Errorf("channel %s did not come back", o.channel)
	}
	return took
}
