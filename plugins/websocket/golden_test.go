package websocket

import (
	"testing"

	"mpush/sdk/packet/golden"
	"mpush/sdk/plugintest"
)

func TestGoldenExchanges(t *testing.T) {
	for _, e := range golden.Load(t, "websocket") {
		t.Run(e.Name, func(t *testing.T) {
			_, core := start(t, e.Config, plugintest.Options{Answer: e.Answer(t)})
			c := dial(t, core)
			e.Play(t, core, map[string]golden.Party{"receiver": goldenReceiver{c}})
			// Whatever the channel had said beyond the file would come first.
			c.send(`{"cmd":"PING"}`)
			if got := c.receive(); got != `{"cmd":"PONG","data":""}` && got != needAuth {
				t.Errorf("said beyond what the file says: %s", got)
			}
		})
	}
}

// goldenReceiver is a client whose frames are the steps.
type goldenReceiver struct{ *client }

// Say sends a frame.
func (r goldenReceiver) Say(t testing.TB, text string) {
	t.Helper()
	r.send(text)
}

// Hear compares the next frame.
func (r goldenReceiver) Hear(t testing.TB, text string) {
	t.Helper()
	if err := golden.Same(text, r.receive()); err != nil {
		t.Fatalf("%v", err)
	}
}
