//go:build linux

// Package kill ends and stops the relay's processes at random points under load
// and holds what its senders were told against what its receivers got, in a
// ledger that the relay knows nothing of.
//
//	go test ./test/kill
//	go test ./test/kill -kill.rounds 200
//	go test ./test/kill -kill.rounds 200 -kill.long -timeout 1h
//	go test ./test/kill -kill.seed 42
//
// The seed decides which faults come in which order and what senders and
// receivers do; the moment in the processes' lives that a fault hits differs
// from run to run.
//
//   - rounds_test.go: the rounds: load, faults, drain, balance
//   - faults_test.go, processes_test.go: what is done to which process
//   - senders_test.go, receivers_test.go: the load
//   - ledger_test.go, delivery_test.go, balance_test.go: what is promised
//   - figures_test.go: what is reported in the end
//   - rules_test.go: that the ledger notices what it is there to notice
//   - outage_test.go: how long a killed channel is away, and what the other does
package kill

import (
	"flag"
	"os"
	"testing"

	"mpush/test/harness"
)

var (
	roundsFlag = flag.Int("kill.rounds", 30, "rounds of faults, over all relays that are tested at once; -short makes it 5")
	seedFlag   = flag.Uint64("kill.seed", 0, "what faults, senders and receivers do; 0 chooses one and says which")
	longFlag   = flag.Bool("kill.long", false, "also stop processes for so long that they count as hung")
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m, "cmd/mpush")) }
