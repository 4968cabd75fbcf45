// Package hostile shows that no input stops a relay: whatever a sender or a
// receiver writes, it gets the clear answer of the wire's description or its
// connection is closed, nothing is queued by it, everybody else is served, no
// process has ended, and what it took is given back.
//
//   - witness_test.go: who must not suffer
//
//   - packets_test.go: packets, the same over both channels
//
//   - requests_test.go: what is no proper HTTP request
//
//   - frames_test.go: what is no proper websocket frame
//
//   - flood_test.go: too much at once
//
//   - slow_test.go: those who write too slowly, or never read
//
//   - slowhttp_test.go: a tool that does all of that
//
//   - crowd_test.go: sockets of nobody
//
//   - connects_test.go: sockets of too many at once
//
//     go test ./test/hostile -run ManyThatLogIn -hostile.connects 10000 -v
package hostile

import (
	"os"
	"testing"

	"mpush/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m, "cmd/mpush")) }
