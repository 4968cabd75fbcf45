package sdk

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/proto"

	"mpush/sdk/pluginpb"
)

func ackOf(mid int64) *pluginpb.PluginEnvelope {
	return newOutcome("phone", 1, mid, outcome{kind: acked}, false)
}

func stateOf(size int) *pluginpb.PluginEnvelope {
	return &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_StatePut{StatePut: &pluginpb.StatePut{Value: make([]byte, size)}}}
}

func TestBatchesAreBounded(t *testing.T) {
	for _, test := range []struct {
		name  string
		posts []*pluginpb.PluginEnvelope
		want  []int // envelopes per batch
	}{
		{"by number", slices.Repeat([]*pluginpb.PluginEnvelope{ackOf(1)}, 600), []int{256, 256, 88}},
		{"by size", []*pluginpb.PluginEnvelope{stateOf(100 << 10), stateOf(100 << 10), stateOf(100 << 10)}, []int{2, 1}},
		{"one that is larger goes alone", []*pluginpb.PluginEnvelope{ackOf(1), stateOf(1 << 20), ackOf(2)}, []int{1, 1, 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := newOutbox()
			for _, e := range test.posts {
				o.post(e)
			}
			var got []int
			for {
				batch, bytes := o.take(nil)
				if len(batch) == 0 {
					break
				}
				if size := proto.Size(&pluginpb.PluginFrame{Envelopes: batch}); size > bytes {
					t.Errorf("a frame of %d bytes is counted as %d", size, bytes)
				}
				got = append(got, len(batch))
				o.sent(bytes)
			}
			if !slices.Equal(got, test.want) || o.bytes != 0 {
				t.Errorf("batches %v, want %v; %d bytes left", got, test.want, o.bytes)
			}
		})
	}
}

func TestEverythingIsSentInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox()
		ctx, cancel := context.WithCancel(t.Context())
		var sent []int64
		var frames int
		var running sync.WaitGroup
		running.Go(func() {
			err := o.run(ctx, func(f *pluginpb.PluginFrame) error {
				frames++
				for _, e := range f.GetEnvelopes() {
					sent = append(sent, e.GetOutcome().GetMid())
				}
				return nil
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("run: %v", err)
			}
		})
		for mid := range int64(5000) {
			o.post(ackOf(mid))
		}
		o.flush(t.Context())
		cancel()
		running.Wait()
		for i, mid := range sent {
			if mid != int64(i) {
				t.Fatalf("place %d has %d", i, mid)
			}
		}
		if len(sent) != 5000 || frames > 5000/10 {
			t.Errorf("%d envelopes in %d frames", len(sent), frames)
		}
		o.post(ackOf(1)) // closed: dropped
		o.flush(t.Context())
	})
}

func TestRequestsWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox()
		if err := o.put(t.Context(), stateOf(maxOutboxBytes)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error)
		go func() { results <- o.put(ctx, stateOf(1)) }()
		synctest.Wait()
		cancel()
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		go func() { results <- o.put(t.Context(), stateOf(1)) }()
		synctest.Wait()
		o.post(ackOf(1)) // outcomes do not wait
		select {
		case err := <-results:
			t.Fatalf("put without room: %v", err)
		default:
		}
		_, bytes := o.take(nil)
		o.sent(bytes)
		if err := <-results; err != nil {
			t.Errorf("with room: %v", err)
		}
		_ = o.put(t.Context(), stateOf(maxOutboxBytes))
		go func() { results <- o.put(t.Context(), stateOf(1)) }()
		synctest.Wait()
		o.close()
		if err := <-results; CodeOf(err) != CodeUnavailable {
			t.Errorf("closed: %v", err)
		}
	})
}

func TestFailedSendClosesTheOutbox(t *testing.T) {
	o := newOutbox()
	o.post(ackOf(1))
	broken := errors.New("broken")
	if err := o.run(t.Context(), func(*pluginpb.PluginFrame) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("run: %v", err)
	}
	if err := o.put(t.Context(), ackOf(2)); CodeOf(err) != CodeUnavailable {
		t.Errorf("put: %v", err)
	}
}

func TestEnvelopeOverTheFrameLimitIsRefused(t *testing.T) {
	o := newOutbox()
	if err := o.put(t.Context(), stateOf(maxFrameBytes)); CodeOf(err) != CodeTooLarge {
		t.Errorf("put: %v", err)
	}
	if err := o.put(t.Context(), stateOf(maxFrameBytes-1024)); err != nil {
		t.Errorf("put: %v", err)
	}
}

func TestSizeOfAnOutcomeIsNoLessThanItIs(t *testing.T) {
	e := newOutcome(strings.Repeat("r", 256), 1<<63, 1<<62, outcome{kind: gone, after: 1 << 62, text: strings.Repeat("e", maxErrorBytes)}, true)
	frame := &pluginpb.PluginFrame{Envelopes: []*pluginpb.PluginEnvelope{e}}
	if got, least := sizeOf(e), proto.Size(frame); got < least {
		t.Errorf("size %d, encoded %d", got, least)
	}
}
