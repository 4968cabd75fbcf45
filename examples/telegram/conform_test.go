package main

import (
	"testing"
	"time"

	"mpush/sdk/plugintest"
	"mpush/test/harness"
)

func TestConformance(t *testing.T) {
	api := startBotAPI(t)
	plugintest.Conform(t, plugintest.Target{Command: []string{harness.Program(t, "telegram")}, Config: section(api.URL), Patience: 60 * time.Second})
}
