package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"mpush/core/engine"
	"mpush/core/message"
)

func TestEachLegalTextArrivesWhateverJSONMakesOfIt(t *testing.T) {
	var got *engine.Publish
	c := open(t, &office{answer: func(event engine.Event) (engine.AnswerBody, error) {
		got, _ = event.(*engine.Publish)
		return engine.Published{MID: 7}, nil
	}}, t.TempDir())
	for name, send := range map[string]Send{
		"angle brackets":     {Target: "ann", Text: strings.Repeat("<>&", 400<<10/3)},
		"control characters": {Target: "ann", Text: strings.Repeat("\x01", message.MaxSize)},
		"both parts":         {Target: "ann", Text: strings.Repeat("\x1f", message.MaxSize/2), Desp: strings.Repeat("\u2028", message.MaxSize/6)},
		"an object":          {Target: "ann", Extra: json.RawMessage(`{"a":"` + strings.Repeat("<>&", 100<<10) + `"}`)},
	} {
		if sent, err := c.Send(t.Context(), send); err != nil || sent.MID != 7 {
			t.Errorf("%s: %+v, %v", name, sent, err)
		} else if got.Text != send.Text || got.Desp != send.Desp || string(got.Extra) != string(send.Extra) {
			t.Errorf("%s: %d, %d and %d bytes arrive", name, len(got.Text), len(got.Desp), len(got.Extra))
		}
	}
}

func TestRequestThatIsTooLargeHearsTheLimit(t *testing.T) {
	c := open(t, &office{answer: func(engine.Event) (engine.AnswerBody, error) { return engine.Published{}, nil }}, t.TempDir())
	_, sending := c.Send(t.Context(), Send{Target: "ann", Text: strings.Repeat("\x01", message.MaxSize*9/8)})
	_, backing := c.Backup(t.Context(), "/"+strings.Repeat("x", maxRequest))
	for limit, err := range map[int]error{maxSend: sending, maxRequest: backing} {
		var refused *Error
		if !errors.As(err, &refused) || refused.Status != http.StatusRequestEntityTooLarge || !strings.Contains(refused.Message, fmt.Sprint(limit)) {
			t.Errorf("%d: %.200v", limit, err)
		}
	}
}
