//go:build linux

// Package chaos does to a relay under load what the world does to one: it ends
// and stops its processes, cuts connections, has endpoints and a push service
// fail, receivers go silent, the configuration change and the disk fill up. What
// senders were told is held against what receivers got, in a ledger that the
// relay knows nothing of, and that against the relay's own books.
//
//	go test ./test/chaos
//	go test ./test/chaos -chaos.rounds 500 -timeout 3h
//	go test ./test/chaos -chaos.rounds 200 -chaos.long -timeout 3h
//	go test ./test/chaos -chaos.seed 42
//	go test ./test/chaos -run Silent -chaos.queue 100000
//
// The seed decides which faults come in which order and what senders and
// receivers do; the moment in the processes' lives that a fault hits differs
// from run to run. The clock of the machine is not touched.
//
//   - rounds_test.go, lane_test.go: the rounds: load, faults, drain, balance
//   - faults_test.go, processes_test.go: what is done to which process
//   - outside_test.go, reloads_test.go, disk_test.go: what is done around them
//   - senders_test.go, carriers_test.go: the load, and how it gets to the relay
//   - receivers_test.go, endpoints_test.go, pushes_test.go: where it goes
//   - ledger_test.go, delivery_test.go, balance_test.go: what is promised
//   - operator_test.go: what the relay says of itself
//   - figures_test.go: what is reported in the end
//   - rules_test.go: that the ledger notices what it is there to notice
//   - outage_test.go: how long a killed channel is away, and what the other does
//   - silent_test.go: one receiver that never acks
package chaos

import (
	"flag"
	"os"
	"testing"

	"mpush/test/harness"
)

var (
	roundsFlag = flag.Int("chaos.rounds", map[bool]int{false: 5, true: 20}[harness.Race], "rounds of faults, over all relays that are tested at once; under -race 20")
	seedFlag   = flag.Uint64("chaos.seed", 0, "what faults, senders and receivers do; 0 chooses one and says which")
	queueFlag  = flag.Int("chaos.queue", 5_000, "messages that wait for a receiver that never acks; -short makes it 3000")
	longFlag   = flag.Bool("chaos.long", false, "also stop processes for so long that they count as hung")
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m, "cmd/mpush")) }
