package main

import (
	"fmt"
	"testing"
	"time"

	"mpush/sdk/plugintest"
	"mpush/test/harness"
)

func TestConformance(t *testing.T) {
	server := startMailServer(t, mailServerOptions{})
	plugintest.Conform(t, plugintest.Target{
		Command: []string{harness.Program(t, "smtp")}, Patience: 60 * time.Second,
		Config: fmt.Sprintf(`{"in": {"listen": "127.0.0.1:0"}, "out": {"server": %q, "security": "none", "from": "mpush@example.org",
			"receivers": [{"name": "ann", "address": "ann@example.org"}, {"name": "bob", "address": "bob@example.org"}]}}`, server.address()),
	})
}
