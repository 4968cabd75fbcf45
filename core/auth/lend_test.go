package auth

import (
	"testing"
	"time"
)

func TestLentTokenIsForOneReceiverAndForAWhile(t *testing.T) {
	now := testNow()
	a := open(t, t.TempDir(), "single", 0, func() time.Time { return now })
	token, err := a.Lend("tv", "family", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	other, err := a.Lend("tv", "", time.Minute)
	if err != nil || other == token || len(token) != 64 {
		t.Fatalf("%d bytes, %v", len(token), err)
	}
	grant, epoch, ok := a.Check(token)
	if !ok || grant.MayBe("tv", "family") != nil || grant.MayBe("tv", "") != nil {
		t.Fatal("it does not let in whom it is for")
	}
	for what, err := range map[string]error{
		"another name": grant.MayBe("phone", ""), "another group": grant.MayBe("tv", "work"), "send": grant.MaySend(1, "tv"), "oversee": grant.MayOversee(),
	} {
		if err == nil {
			t.Errorf("%s: allowed", what)
		}
	}
	if grant, _, _ := a.Check(other); grant.MayBe("tv", "family") == nil {
		t.Error("a group that was not asked for")
	}
	session, err := a.IssueIn(epoch, "tv", "family")
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	if _, _, ok := a.Check(token); ok {
		t.Error("it is good after its time")
	}
	// Who is in stays, within the same bounds.
	got, err := a.Verify(session)
	if err != nil || got.Grant.MayBe(got.Name, got.Group) != nil || got.Grant.MaySend(1, "tv") == nil {
		t.Errorf("%+v, %v", got, err)
	}
	if _, holding := a.Epochs(); len(holding) != 1 || holding[0] != a.Epoch() {
		t.Errorf("epochs %v", holding)
	}
}

func TestLentTokensAreBounded(t *testing.T) {
	now := testNow()
	a := open(t, t.TempDir(), "single", 0, func() time.Time { return now })
	var tokens []string
	for range mostLent + 2 {
		token, err := a.Lend("tv", "", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	for i, token := range tokens {
		if _, _, good := a.Check(token); good != (i >= 2) {
			t.Errorf("token %d of %d: good is %v", i, len(tokens), good)
		}
	}
	now = now.Add(time.Minute)
	if _, err := a.Lend("tv", "", time.Minute); err != nil || len(a.lent.tokens) != 1 {
		t.Errorf("when they are over %d are kept, %v", len(a.lent.tokens), err)
	}
	for _, name := range []string{"", "a\nb"} {
		if _, err := a.Lend(name, "", time.Minute); err == nil {
			t.Errorf("%q: lent", name)
		}
	}
	if _, err := a.Lend("tv", "\x00", time.Minute); err == nil {
		t.Error("a group that is none")
	}
}
