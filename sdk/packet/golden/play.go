package golden

import (
	"sync"
	"testing"

	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

// Party is somebody outside of the server. Its methods are called by the test's
// goroutine, in the order of the steps, and fail the test.
type Party interface {
	// Say says text to the server.
	Say(t testing.TB, text string)
	// Hear waits for the next thing that the server says to this party, and
	// compares it with text.
	Hear(t testing.TB, text string)
}

// Answer is how the core of this exchange answers: an option of plugintest. What
// the file does not answer gets the usual answer.
func (e Exchange) Answer(t testing.TB) func(*pluginpb.PluginEnvelope) *pluginpb.CoreEnvelope {
	t.Helper()
	var mu sync.Mutex
	answers := map[string][]*pluginpb.CoreEnvelope{} // by the request's name, in order
	for i, step := range e.Steps[1:] {
		asked := e.Steps[i]
		if step.From != Core || asked.To != Core {
			continue
		}
		answer := step.envelope(t)
		if isAnswer(answer) {
			name := asked.only(t)
			answers[name] = append(answers[name], answer)
		}
	}
	return func(request *pluginpb.PluginEnvelope) *pluginpb.CoreEnvelope {
		mu.Lock()
		defer mu.Unlock()
		name := bodyName(request)
		if len(answers[name]) == 0 {
			return nil
		}
		next := answers[name][0]
		answers[name] = answers[name][1:]
		return next
	}
}

// Play plays the parts of the core and of all parties, by name. The core must
// have been started with the exchange's Answer. The test fails at the first step
// that goes otherwise than the file says, and at its end if the channel has asked
// the core for more; setting up and hanging up are not counted.
func (e Exchange) Play(t testing.TB, core *plugintest.Core, parties map[string]Party) {
	t.Helper()
	t.Log(e.About)
	t.Cleanup(func() {
		for _, more := range core.Seen() {
			if matters(more) {
				t.Errorf("%s.txt: asked of the core, beyond what the file says: %v", e.Name, more)
			}
		}
	})
	for _, step := range e.Steps {
		other := step.From
		if step.From == Server {
			other = step.To
		}
		party := parties[other]
		switch {
		case other == Core && step.To == Core:
			step.heardByCore(t, core)
		case other == Core:
			step.saidByCore(t, core)
		case party == nil:
			t.Fatalf("%s: nobody plays the %s", step.Place, other)
		case step.To == Server:
			party.Say(placed{t, step}, step.Text)
		default:
			party.Hear(placed{t, step}, step.Text)
		}
	}
}

func (s Step) heardByCore(t testing.TB, core *plugintest.Core) {
	t.Helper()
	name := s.only(t)
	asked := core.Await(func(e *pluginpb.PluginEnvelope) bool { return matters(e) || bodyName(e) == name })
	if err := compareEnvelope(s.Text, asked); err != nil {
		t.Fatalf("%s: %v", s.Place, err)
	}
}

// saidByCore sends what is no answer: answers went out by themselves.
func (s Step) saidByCore(t testing.TB, core *plugintest.Core) {
	t.Helper()
	said := s.envelope(t)
	if isAnswer(said) {
		return
	}
	deliver := said.GetDeliver()
	if deliver == nil || deliver.GetRoutes()[0].GetGeneration() != 0 {
		core.Send(said)
		return
	}
	// Without a generation it goes to the route that the channel has made, with
	// the address that it gave.
	var receivers []string
	for _, route := range deliver.GetRoutes() {
		receivers = append(receivers, route.GetReceiver())
	}
	core.DeliverTo(receivers, deliver.GetMessage())
}

func (s Step) envelope(t testing.TB) *pluginpb.CoreEnvelope {
	t.Helper()
	e, err := coreEnvelope(s.Text)
	if err != nil {
		t.Fatalf("%s: %v", s.Place, err)
	}
	return e
}

// only is the name of the one body of an envelope.
func (s Step) only(t testing.TB) string {
	t.Helper()
	value, err := decode(s.Text)
	if err != nil {
		t.Fatalf("%s: %v", s.Place, err)
	}
	members, _ := value.(map[string]any)
	if len(members) != 1 {
		t.Fatalf("%s: expected an envelope with one body", s.Place)
	}
	for name := range members {
		return name
	}
	return ""
}

func isAnswer(e *pluginpb.CoreEnvelope) bool {
	switch e.GetBody().(type) {
	case *pluginpb.CoreEnvelope_Deliver, *pluginpb.CoreEnvelope_Recall, *pluginpb.CoreEnvelope_Evict, *pluginpb.CoreEnvelope_Command:
		return false
	}
	return true
}

// matters tells whether a request is about what a client does, and not about
// the channel's own affairs.
func matters(e *pluginpb.PluginEnvelope) bool {
	switch e.GetBody().(type) {
	case *pluginpb.PluginEnvelope_Declare, *pluginpb.PluginEnvelope_Announce, *pluginpb.PluginEnvelope_Detach,
		*pluginpb.PluginEnvelope_StateGet, *pluginpb.PluginEnvelope_StatePut:
		return false
	}
	return true
}

// placed says where the step stands with every failure.
type placed struct {
	testing.TB
	step Step
}

func (p placed) Fatalf(format string, args ...any) {
	p.TB.Helper()
	p.TB.Fatalf(p.step.Place+": "+format, args...)
}

func (p placed) Errorf(format string, args ...any) {
	p.TB.Helper()
	p.TB.Errorf(p.step.Place+": "+format, args...)
}

func (p placed) Fatal(args ...any) {
	p.TB.Helper()
	p.TB.Fatal(append([]any{p.step.Place + ":"}, args...)...)
}
