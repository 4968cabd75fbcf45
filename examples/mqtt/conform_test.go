package main

import (
	"fmt"
	"testing"
	"time"

	"mpush/sdk/plugintest"
	"mpush/test/harness"
)

func TestConformance(t *testing.T) {
	broker := startMosquitto(t, "")
	plugintest.Conform(t, plugintest.Target{
		Command: []string{harness.Program(t, "mqtt"), "-without-token"}, Patience: 60 * time.Second,
		Config: fmt.Sprintf(`{"broker": %q, "receivers": [{"name": "lamp", "topic": "home/lamp"}, {"name": "sign", "topic": "sign"}],
			"subscribe": [{"filter": "to/+"}]}`, broker.url()),
	})
}
