package auth

import (
	"testing"
	"time"
)

// testNow is some moment, whole seconds.
func testNow() time.Time { return time.Unix(1_700_000_000, 0) }

func open(t *testing.T, dir, token string, ttl time.Duration, now func() time.Time) *Authority {
	t.Helper()
	a, err := Open(dir, token, ttl, now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestCheckToken(t *testing.T) {
	for _, test := range []struct {
		configured, given string
		want              bool
	}{
		{"correct horse", "correct horse", true},
		{"correct horse", "correct horse ", false},
		{"correct horse", "Correct horse", false},
		{"correct horse", "", false},
		{"", "", true},
		{"", "anything", false},
		{"密码", "密码", true},
	} {
		a := open(t, t.TempDir(), test.configured, 0, testNow)
		if got := a.CheckToken(test.given); got != test.want {
			t.Errorf("configured %q, given %q: %v, want %v", test.configured, test.given, got, test.want)
		}
	}
}

func TestOpenRefusesMissingDirectory(t *testing.T) {
	if _, err := Open(t.TempDir()+"/absent", "t", 0, testNow); err == nil {
		t.Fatal("no error")
	}
}
