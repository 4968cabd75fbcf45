package recorded

import (
	"context"
	"testing"

	"google.golang.org/protobuf/proto"

	"mpush/sdk/pluginpb"
)

// Parts are the two sides. Each gets the recorded line with today's values, and
// either says it itself and returns nil, or returns what the real side says in
// its place.
type Parts struct {
	// Call makes one of the core's calls and returns the response, nil if there
	// is nobody to call.
	Call   func(name string, request proto.Message) (response proto.Message)
	Core   func(*pluginpb.CoreEnvelope) *pluginpb.CoreEnvelope
	Plugin func(*pluginpb.PluginEnvelope) *pluginpb.PluginEnvelope
}

// Play goes through the session line by line; the test fails at the first that
// a real side says otherwise.
func (s *Session) Play(t testing.TB, parts Parts) {
	t.Helper()
	s.play(parts, func(i int, err error) { t.Fatalf("line %d: %v", i+1, err) })
}

// Record plays the session and writes into it what the real sides say: of their
// lines only the kind and the chosen values are taken from what there is.
func (s *Session) Record(parts Parts) { s.play(parts, func(int, error) {}) }

func (s *Session) play(parts Parts, differs func(line int, err error)) {
	n := newNames()
	for i := range s.Lines {
		l := &s.Lines[i]
		var err error
		switch {
		case l.Core != nil:
			if said := parts.Core(forToday(n, l.Core)); said != nil {
				l.Core, err = compare(n, said, l.Core)
			}
		case l.Plugin != nil:
			if said := parts.Plugin(forToday(n, l.Plugin)); said != nil {
				l.Plugin, err = compare(n, said, l.Plugin)
			}
		default:
			if said := parts.Call(l.Call, forToday(n, l.Request)); said != nil {
				forgetSDK(said)
				l.Response, err = compare(n, said, l.Response)
			}
		}
		if err != nil {
			differs(i, err)
		}
	}
}

// forgetSDK takes out what differs with each release.
func forgetSDK(response proto.Message) {
	if d, ok := response.(*pluginpb.DescribeResponse); ok {
		d.Sdk = ""
	}
}

// Call makes a call by its name.
func Call(t testing.TB, client pluginpb.PluginClient, name string, request proto.Message) proto.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var response proto.Message
	var err error
	switch r := request.(type) {
	case *pluginpb.DescribeRequest:
		response, err = client.Describe(ctx, r)
	case *pluginpb.ConfigureRequest:
		response, err = client.Configure(ctx, r)
	case *pluginpb.StartRequest:
		response, err = client.Start(ctx, r)
	case *pluginpb.HealthRequest:
		response, err = client.Health(ctx, r)
	case *pluginpb.StopRequest:
		response, err = client.Stop(ctx, r)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return response
}
