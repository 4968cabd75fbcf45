// Package harness runs mpush as its operators do, for tests that look at it
// from outside: a built program, a config file, a data directory, sockets,
// signals. It knows the wire and the command line and imports nothing of mpush.
//
//   - build.go: [Main] builds the programs, once for a test binary
//   - process.go, output.go, session.go: one run of a program, what it prints,
//     and everything that it has started
//   - relay.go: [Relay], a core with its channels, that is stopped, killed and
//     started again on the same data
//   - ports.go: ports that stay the same when a relay starts again
//   - http.go: a sender
//   - client.go, receiver.go: a websocket, and what a receiver does with it
//   - match.go: packets compared as JSON
//
// Every wait has a deadline, far beyond what a busy machine needs, and is for an
// event; nothing sleeps. What a test starts is ended and waited for before the
// test is over, and the test fails if something of it is left running.
package harness

import "time"

// Patience is how long an expected event may take. Only a failing test ever
// waits so long.
const Patience = time.Minute
