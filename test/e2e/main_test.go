// Package e2e shows what mpush promises on real processes, sockets and files.
// Where a test or a row of a table has a quoted name, that is the sentence of
// the wire's description which it shows.
package e2e

import (
	"os"
	"testing"

	"mpush/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m, "cmd/mpush", "examples/file")) }

// statuses are those of a MESSAGE_REPLY, by receiver.
type statuses = map[string]string
