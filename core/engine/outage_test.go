package engine

import (
	"fmt"
	"testing"

	"mpush/core/record"
)

// An endpoint that fails for an hour costs a probe now and then, at most each
// five minutes and a fifth; its queue waits, others' do not, and then it drains in
// order.
func TestEndpointThatFailsForAnHourCostsItsProbesAndThenDrainsInOrder(t *testing.T) {
	const hour, messages = 60 * 60 * 1000, 200
	policy := record.Policy{Exclusive: true, Acks: true, Prefetch: 1, Retry: 3000, RetryMax: 5 * 60 * 1000}
	d := newDesk(t, Config{})
	d.do(&Declare{Link: pushLink, Request: d.request(), Routes: []RouteSpec{{Receiver: "hook", Policy: policy}, {Receiver: "well", Policy: policy}}}).forget()
	for i := range messages {
		d.send("hook", fmt.Sprint(i), 0)
	}
	d.forget()
	probes := 0
	for end := d.now + hour; d.now < end; {
		d.outcome(pushLink, "hook", Retry, 0).got()
		before := d.now
		for len(d.lines) == 0 {
			d.wait(1000)
		}
		probes++
		d.got(fmt.Sprintf("deliver hook 0 gen1 try%d", probes))
		if pause := d.now - before; pause > 6*60*1000+1000 {
			t.Fatalf("probe %d came after %d ms", probes, pause)
		}
		d.send("well", "x", 0).outcome(pushLink, "well", Acked, 0).forget()
	}
	if probes < 10 || probes > 30 {
		t.Errorf("%d probes in an hour", probes)
	}
	for i := range messages {
		d.outcome(pushLink, "hook", Acked, 0)
		if i+1 < messages {
			d.got(fmt.Sprintf("deliver hook %d gen1 try0", i+1))
		}
	}
	d.got()
}
