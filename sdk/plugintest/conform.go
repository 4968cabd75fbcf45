package plugintest

import (
	"testing"

	"mpush/sdk/plugintest/conformance"
)

// Target is the plugin to check; see package conformance.
type Target = conformance.Target

// Conform takes a plugin through every check of package conformance, each as a
// subtest of its name:
//
//	func TestConformance(t *testing.T) {
//		plugintest.Conform(t, plugintest.Target{
//			New:    func() sdk.Plugin { return &channel{} },
//			Config: `{"clients": [{"name": "phone"}]}`,
//		})
//	}
//
// With New the plugin runs in the test's process: that is quick, and skips what
// takes a process of its own. With Command it is an executable.
func Conform(t *testing.T, target Target) {
	t.Helper()
	kit, err := conformance.New(target)
	if err != nil {
		t.Fatal(err)
	}
	defer kit.Close()
	ran := map[string]bool{}
	for _, check := range conformance.Checks() {
		t.Run(check.Name, func(t *testing.T) {
			ran[check.Name] = true
			result := kit.Run(t.Context(), check)
			for _, note := range result.Notes {
				t.Log(note)
			}
			switch result.Status {
			case conformance.Skipped:
				t.Skip(result.Reason)
			case conformance.Failed:
				t.Error(result.Reason)
				if result.Output != "" {
					t.Logf("the plugin's output:\n%s", result.Output)
				}
			}
		})
	}
	// With go test -run, what was asked for may need what was not.
	for _, result := range kit.Failed() {
		if !ran[result.Check] {
			t.Errorf("%s: %s\n%s", result.Check, result.Reason, result.Output)
		}
	}
}
