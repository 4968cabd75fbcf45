package supervisor

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// roleKey makes the test binary play a part instead of running tests: the
// plugins of these tests are the test binary itself.
const roleKey = "MPUSH_TEST_ROLE"

func TestMain(m *testing.M) {
	switch role := os.Getenv(roleKey); role {
	case "":
	case "plugin":
		playPlugin(os.Getenv(viceKey))
		os.Exit(0)
	case "core":
		playCore()
		os.Exit(0)
	default:
		fmt.Fprintln(os.Stderr, "unknown role", role)
		os.Exit(2)
	}
	goleak.VerifyTestMain(m)
}
