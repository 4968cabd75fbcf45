// Package evil shows that no plugin stops a relay: one that lies, floods, speaks
// garbage, leaks, forks or is silent is refused, slowed down or restarted, the
// log names its channel and what it did, everybody else is served meanwhile,
// and what it took of the core is given back.
//
//   - plugin: the plugin, with all of its vices
//   - witness_test.go: a relay with evil channels, and those who must not suffer
//   - usage_test.go: what the core takes
//   - lies_test.go: what is not so, in good form
//   - trespass_test.go: what its entry does not allow it
//   - breaks_test.go: what ends the plugin's life
//   - floods_test.go: too much of everything
//   - start_test.go: what shows before the relay is up
package evil

import (
	"flag"
	"os"
	"testing"

	"mpush/test/harness"
)

var longFlag = flag.Bool("long", false, "do more of each vice, and repeat it for what a life of it may leave behind")

func TestMain(m *testing.M) {
	os.Exit(harness.Main(m, "cmd/mpush", "test/evil/plugin"))
}
