package auth

import (
	"errors"
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

func TestAnotherTokenEndsAllSessionsAndBeginsAnEpoch(t *testing.T) {
	a := open(t, t.TempDir(), "first", 0, testNow)
	first := a.Epoch()
	session, err := a.IssueIn(first, "phone", "")
	if err != nil {
		t.Fatal(err)
	}
	change := func(token string, ttl time.Duration) {
		t.Helper()
		begin, err := a.Prepare(token, ttl)
		if err != nil {
			t.Fatal(err)
		}
		begin()
	}
	change("first", time.Hour)
	if _, err := a.Verify(session); err != nil || a.Epoch() != first {
		t.Errorf("the same token: epoch %d, %v", a.Epoch(), err)
	}
	change("second", time.Hour)
	if _, err := a.Verify(session); !errors.Is(err, ErrSession) || a.Epoch() != first+1 {
		t.Errorf("another token: epoch %d, %v", a.Epoch(), err)
	}
	if a.CheckToken("first") || !a.CheckToken("second") {
		t.Error("the first token is still the one")
	}
	if late, err := a.IssueIn(first, "phone", ""); !errors.Is(err, ErrEpoch) {
		t.Errorf("who came with the first token got %q, %v", late, err)
	}
}

func TestAnotherTTLHoldsForSessionsThatThereAre(t *testing.T) {
	now := testNow()
	a := open(t, t.TempDir(), "token", 0, func() time.Time { return now })
	session, err := a.Issue("phone", "")
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	change, err := a.Prepare("token", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Verify(session); err != nil {
		t.Errorf("before the change: %v", err)
	}
	change()
	if _, err := a.Verify(session); !errors.Is(err, ErrExpired) {
		t.Errorf("verified: %v", err)
	}
}
