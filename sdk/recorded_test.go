package sdk_test

import (
	"io"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"mpush/sdk/pluginpb"
	"mpush/sdk/recorded"
)

// The core of a recorded session is understood as it was then: what it says
// reaches the plugin, and what the plugin does is said in the same words.
func TestSDKAnswersTheRecordedCore(t *testing.T) {
	puppet := recorded.NewPuppet(t)
	client := serve(t, puppet)
	var s stream
	said := make(chan *pluginpb.PluginEnvelope, 1000)
	ended := make(chan error, 1)
	read := func() {
		for {
			frame, err := s.Recv()
			if err != nil {
				ended <- err
				return
			}
			for _, e := range frame.GetEnvelopes() {
				said <- e
			}
		}
	}
	recorded.V1(t).Play(t, recorded.Parts{
		Call: func(name string, request proto.Message) proto.Message {
			response := recorded.Call(t, client, name, request)
			if name == "Configure" {
				var err error
				if s, err = client.Exchange(t.Context()); err != nil {
					t.Fatal(err)
				}
				go read()
			}
			return response
		},
		Core: func(e *pluginpb.CoreEnvelope) *pluginpb.CoreEnvelope {
			send(t, s, e)
			puppet.Perceive(e)
			return nil
		},
		Plugin: func(want *pluginpb.PluginEnvelope) *pluginpb.PluginEnvelope {
			puppet.Do(want)
			select {
			case e := <-said:
				return e
			case <-time.After(30 * time.Second):
				t.Fatalf("the plugin does not say %v", want)
				return nil
			}
		},
	})
	if err := <-ended; err != io.EOF {
		t.Errorf("after Stop the stream ended with %v", err)
	}
	puppet.Finish()
	if len(said) > 0 {
		t.Errorf("the plugin has said besides: %v", <-said)
	}
}
