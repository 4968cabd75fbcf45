package link

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"mpush/core/engine"
	"mpush/core/message"
	"mpush/sdk/pluginpb"
)

func delivery(receiver string, m *message.Message) *engine.Deliver {
	return &engine.Deliver{Message: m, Receiver: receiver, Generation: 1}
}

// routesOf lists a frame's deliveries as "receiver/mid".
func routesOf(frame *pluginpb.CoreFrame) (all []string) {
	for _, env := range frame.Envelopes {
		for _, r := range env.GetDeliver().GetRoutes() {
			all = append(all, fmt.Sprintf("%s/%d", r.Receiver, env.GetDeliver().Message.Mid))
		}
	}
	return all
}

func offer(o *outbox, deliveries ...*engine.Deliver) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, d := range deliveries {
		o.deliver(d)
	}
}

func TestReceiversTakeTurnsAndKeepTheirOrder(t *testing.T) {
	o := newOutbox()
	offer(o, delivery("a", &message.Message{MID: 1}), delivery("a", &message.Message{MID: 2}), delivery("a", &message.Message{MID: 3}),
		delivery("b", &message.Message{MID: 4}), delivery("b", &message.Message{MID: 5}))
	frame := &pluginpb.CoreFrame{}
	o.take(frame)
	if got, want := routesOf(frame), []string{"a/1", "b/4", "a/2", "b/5", "a/3"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if o.take(&pluginpb.CoreFrame{}) || len(o.queues) != 0 || len(o.turns) != 0 {
		t.Error("something is left")
	}
}

func TestOneMessageForManyReceiversIsSentOnce(t *testing.T) {
	for _, size := range []int{1000, 300 << 10, message.MaxSize} {
		o := newOutbox()
		m := &message.Message{MID: 1, Text: strings.Repeat("x", size)}
		for i := range 500 {
			offer(o, delivery(fmt.Sprint("r", i), m))
		}
		frame := &pluginpb.CoreFrame{}
		o.take(frame)
		if len(frame.Envelopes) != 1 || len(frame.Envelopes[0].GetDeliver().Routes) != 500 {
			t.Errorf("%d bytes: %d envelopes, the first with %d routes", size, len(frame.Envelopes), len(frame.Envelopes[0].GetDeliver().Routes))
		}
	}
}

func TestLargeMessageDoesNotTakeOthersAlong(t *testing.T) {
	o := newOutbox()
	large := &message.Message{MID: 1, Text: strings.Repeat("x", maxFrameBytes)}
	offer(o, delivery("a", large), delivery("b", large), delivery("c", &message.Message{MID: 2}), delivery("d", large), delivery("a", &message.Message{MID: 3}))
	for _, want := range [][]string{{"a/1", "b/1"}, {"c/2", "d/1"}, {"a/3"}} {
		frame := &pluginpb.CoreFrame{}
		o.take(frame)
		if got := routesOf(frame); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func TestControlGoesBeforeDeliveries(t *testing.T) {
	o := newOutbox()
	offer(o, delivery("a", &message.Message{MID: 1}))
	o.post(doneEnvelope(9, nil))
	frame := &pluginpb.CoreFrame{}
	o.take(frame)
	if frame.Envelopes[0].GetDone().GetRequestId() != 9 || frame.Envelopes[1].GetDeliver() == nil {
		t.Errorf("frame %v", frame)
	}
}

func TestRecalledBeforeItWasSentIsNeverSent(t *testing.T) {
	l := New(Options{})
	m := &message.Message{MID: 1}
	l.Send([]engine.Effect{delivery("a", m), &engine.Recall{Receiver: "a", Generation: 1, MID: 1}})
	if frame := (&pluginpb.CoreFrame{}); l.out.take(frame) {
		t.Errorf("sent %v", frame)
	}
	l.Send([]engine.Effect{delivery("a", m)})
	l.out.take(&pluginpb.CoreFrame{})
	l.Send([]engine.Effect{&engine.Recall{Receiver: "a", Generation: 1, MID: 1}})
	frame := &pluginpb.CoreFrame{}
	if l.out.take(frame); len(frame.Envelopes) != 1 || frame.Envelopes[0].GetRecall().GetMid() != 1 {
		t.Errorf("a message on its way is not recalled: %v", frame)
	}
	l.Send([]engine.Effect{delivery("a", m), &engine.Evict{Receiver: "a", Generation: 1}})
	frame = &pluginpb.CoreFrame{}
	if l.out.take(frame); len(frame.Envelopes) != 1 || frame.Envelopes[0].GetEvict() == nil {
		t.Errorf("leases of an evicted attachment: %v", frame)
	}
}

func TestFramesStayUnderTheLimit(t *testing.T) {
	o := newOutbox()
	const big = message.MaxSize
	for i := range 5 {
		offer(o, delivery(fmt.Sprint("r", i), &message.Message{MID: message.MID(i), Text: strings.Repeat("x", big)}))
	}
	group := &message.Message{MID: 9, Text: strings.Repeat("x", big)}
	for i := range 10_000 {
		d := delivery(fmt.Sprintf("%0256d", i), group)
		d.Address = []byte(strings.Repeat("a", 200))
		offer(o, d)
	}
	for i := range 2000 {
		o.post(&pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_CommandResult{CommandResult: &pluginpb.CommandResult{RequestId: uint64(i), Info: strings.Repeat("y", 1000)}}})
	}
	frames, items := 0, 0
	for {
		frame := &pluginpb.CoreFrame{}
		if !o.take(frame) {
			break
		}
		frames++
		for _, env := range frame.Envelopes {
			items += max(1, len(env.GetDeliver().GetRoutes()))
		}
		if size := proto.Size(frame); size > 3<<20 {
			t.Fatalf("a frame of %d bytes", size)
		}
		if len(frame.Envelopes) > maxFrameEnvelopes {
			t.Fatalf("a frame of %d envelopes", len(frame.Envelopes))
		}
	}
	if items != 12_005 || frames < 10 || frames > 50 {
		t.Errorf("%d answers and routes in %d frames", items, frames)
	}
}

func TestClosedOutboxTakesNothing(t *testing.T) {
	l := New(Options{})
	l.out.close()
	l.Send([]engine.Effect{delivery("a", &message.Message{MID: 1})})
	l.out.post(doneEnvelope(1, nil))
	if l.out.take(&pluginpb.CoreFrame{}) {
		t.Error("something came out")
	}
}

func BenchmarkOutbox(b *testing.B) {
	l := New(Options{})
	m := &message.Message{MID: 1, Text: "hello"}
	effects := []engine.Effect{delivery("a", m), delivery("b", m), delivery("c", m)}
	b.ReportAllocs()
	for b.Loop() {
		l.Send(effects)
		l.out.take(&pluginpb.CoreFrame{})
	}
}

func TestPluginThatAsksWithoutReadingIsSlowedDown(t *testing.T) {
	o := newOutbox()
	done := make(chan struct{})
	posted := make(chan int)
	go func() {
		n := 0
		for ; o.bytesNow() < maxControlBytes; n++ {
			o.post(doneEnvelope(uint64(n+1), nil))
		}
		posted <- n
		o.waitForRoom(done)
		posted <- n
	}()
	<-posted
	select {
	case <-posted:
		t.Fatal("there is room in a full outbox")
	default:
	}
	for o.take(&pluginpb.CoreFrame{}) {
	}
	<-posted
	close(done)
}

func (o *outbox) bytesNow() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes
}
