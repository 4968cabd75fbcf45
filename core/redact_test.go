package core

import (
	"strings"
	"testing"
)

// A plugin's output is logged line by line, and an error quotes as Go does.
func TestSecretIsHiddenLineByLineAndQuoted(t *testing.T) {
	var s secrets
	s.add([]string{"-----BEGIN KEY-----\nMIGHAgEAMBMGByqGSM49\r\nAgEGCCqGSM49AwEHBG0w\n-----END KEY-----\n", "p<w\"d&1"})
	for _, text := range []string{"MIGHAgEAMBMGByqGSM49", "got AgEGCCqGSM49AwEHBG0w", `p<w\"d&1`, `p\u003cw\"d\u00261`} {
		if got := s.hide(text); !strings.Contains(got, redacted) || strings.Contains(got, "SM49") {
			t.Errorf("%s: %s", text, got)
		}
	}
}
