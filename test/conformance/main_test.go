// Package conformance takes every bundled channel, and every example that has no
// such test in its own folder, through the conformance kit, as executables.
//
//   - bundled_test.go: the bundled channels, with a far side that takes what comes
//   - examples_test.go: the examples
//   - command_test.go: mpush plugin test, as its users see it
//
// An example, in whatever language, is added by a file conformance.json in its
// folder. It is JSON with these keys, all optional:
//
//   - command: the executable and its arguments, run in the folder; absent: the
//     folder is a Go command, which is built
//   - args: arguments of that
//   - config: the plugin's section; in its texts ${DIR} is a directory of the
//     test's own, empty at first
//   - mtls: false for a runtime that cannot
//   - commands: [{"name": …, "data": …}], client's commands that make routes
//   - receivers, messages: as in conformance.Target; few messages are for a
//     plugin that waits long for a far side that is not there
//   - requires: [{"run": [command …], "hint": …}]: the example is skipped, with
//     the hint, if one of these commands, run in the folder, fails
//
// The section names a far side that is not there, such as 127.0.0.1:1: nothing
// leaves the machine, and each delivery is answered with a retry.
package conformance

import (
	"os"
	"testing"

	"mpush/test/harness"
)

func TestMain(m *testing.M) {
	os.Exit(harness.Main(m, append([]string{"cmd/mpush"}, goExamples()...)...))
}
