package sdk_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

func TestWhatBeginsAfterQueuedDoesNotOvertake(t *testing.T) {
	p := &probe{}
	answer := make(chan struct{})
	answerNow := sync.OnceFunc(func() { close(answer) })
	defer answerNow()
	core := plugintest.Start(t, p, plugintest.Options{
		Publish: func(*pluginpb.Publish) *pluginpb.PublishResult {
			<-answer // Queued does not wait for it
			return &pluginpb.PublishResult{}
		},
		Command: func(*pluginpb.ClientCommand) *pluginpb.CommandResult { return &pluginpb.CommandResult{} },
	})
	client := sdk.Credentials{Auth: core.Session("pc", "")}
	const requests = 200
	var calls sync.WaitGroup
	for i := range requests {
		inLine := make(chan struct{})
		queued := func() { close(inLine) } // a second call would panic
		calls.Go(func() {
			var err error
			if i%2 == 0 {
				_, err = p.host.Publish(t.Context(), sdk.Publish{Credentials: good, Text: strconv.Itoa(i), Queued: queued})
			} else {
				_, err = p.host.Command(t.Context(), sdk.ClientCommand{Credentials: client, Name: strconv.Itoa(i), Queued: queued})
			}
			if err != nil {
				t.Errorf("request %d: %v", i, err)
			}
		})
		<-inLine
	}
	for i := range requests {
		e := core.Await(func(e *pluginpb.PluginEnvelope) bool { return e.GetPublish() != nil || e.GetCommand() != nil })
		if got := e.GetPublish().GetText() + e.GetCommand().GetCommand(); got != strconv.Itoa(i) {
			t.Fatalf("request %s came as number %d", got, i)
		}
	}
	answerNow()
	calls.Wait()
}

func TestQueuedIsNotCalledForWhatNeverWasInLine(t *testing.T) {
	p := &probe{}
	core := plugintest.Start(t, p, plugintest.Options{})
	queued := func() { t.Error("queued") }
	for what, refused := range map[string]sdk.Publish{
		"invalid text": {Credentials: good, Text: "\xff", Queued: queued},
		"too large":    {Credentials: good, Text: strings.Repeat("x", 4<<20), Queued: queued},
	} {
		if _, err := p.host.Publish(t.Context(), refused); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
	if _, err := p.host.Command(t.Context(), sdk.ClientCommand{Credentials: good, Name: "\xff", Queued: queued}); err == nil {
		t.Error("an invalid name was taken")
	}
	core.Break()
	<-p.ctx.Done()
	if _, err := p.host.Publish(context.Background(), sdk.Publish{Credentials: good, Queued: queued}); err == nil {
		t.Error("taken without a core")
	}
}
