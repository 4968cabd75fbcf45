package main

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"mpush/sdk"
)

// relay answers what is published; the rest of it is not used.
type relay struct {
	sdk.Host
	answer func(sdk.Publish) (sdk.Published, error)
}

func (r relay) Publish(_ context.Context, p sdk.Publish) (sdk.Published, error) { return r.answer(p) }

// disconnected is a client whose connection is gone.
func disconnected(t *testing.T) *paho.Client {
	t.Helper()
	conn, other := net.Pipe()
	_ = other.Close()
	client := paho.NewClient(paho.ClientConfig{Conn: conn})
	if _, err := client.Connect(t.Context(), &paho.Connect{}); err == nil {
		t.Fatal("connected to nobody")
	}
	<-client.Done()
	return client
}

func TestPausesOutlastTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		begun := time.Now()
		c := newChannel()
		c.settings.Subscribe = []subscription{{Filter: "#", Name: "phone"}}
		c.host = relay{answer: func(sdk.Publish) (sdk.Published, error) {
			if at = append(at, time.Since(begun)); len(at) < 4 {
				return sdk.Published{}, &sdk.Error{Code: sdk.CodeUnavailable, Message: "the disk is full"}
			}
			return sdk.Published{MID: 1}, nil
		}}
		client := disconnected(t)
		c.take(t.Context(), arrival{&paho.Publish{Topic: "a"}, client})
		if len(at) != 4 || at[3] != 7*firstHold {
			t.Errorf("QoS 0: published after %v", at)
		}
		at, begun = nil, time.Now()
		c.take(t.Context(), arrival{&paho.Publish{Topic: "a", QoS: 1}, client})
		if len(at) != 1 { // the broker sends it again
			t.Errorf("QoS 1: published after %v", at)
		}
	})
}

// Devices count their ids from 1: what another has sent must not stand for this
// one, nor have it refused.
func TestIDIsOfOneSender(t *testing.T) {
	c := newChannel()
	c.settings.Subscribe = []subscription{{Filter: "#", Name: "phone", Payload: payloadJSON}}
	key := func(broker, topic, payload string) string {
		c.settings.Broker = broker
		m, err := c.messageOf(arrival{packet: &paho.Publish{Topic: topic, Payload: []byte(payload)}})
		if err != nil || len(m.IdempotencyKey) > 256 {
			t.Errorf("%s: key %q, %v", topic, m.IdempotencyKey, err)
		}
		return m.IdempotencyKey
	}
	const hot = `{"id":"1","text":"hot"}`
	first := key("mqtt://one", "sensor/a", hot)
	if again := key("mqtt://one", "sensor/a", hot); again != first {
		t.Error("the same message has another key when it comes again")
	}
	for what, other := range map[string]string{
		"topic":   key("mqtt://one", "sensor/b", hot),
		"broker":  key("mqtt://two", "sensor/a", hot),
		"id":      key("mqtt://one", "sensor/a", `{"id":"2","text":"hot"}`),
		"message": key("mqtt://one", "sensor/a", `{"id":"1","text":"cold"}`),
	} {
		if other == first {
			t.Errorf("another %s has the same key", what)
		}
	}
}
