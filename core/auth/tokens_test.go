package auth

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"
)

func tokenOf(name string, rights Rights, receivers, targets *Scope) Token {
	return Token{Name: name, Sum: sha256.Sum256([]byte("value of " + name)), Rights: rights, Receivers: receivers, Targets: targets}
}

func (a *Authority) change(t *testing.T, token string, tokens ...Token) {
	t.Helper()
	change, err := a.Prepare(token, 0, tokens...)
	if err != nil {
		t.Fatal(err)
	}
	change()
}

func issue(t *testing.T, a *Authority, token, name, group string) string {
	t.Helper()
	_, epoch, ok := a.Check(token)
	if !ok {
		t.Fatalf("%q is no token", token)
	}
	session, err := a.IssueIn(epoch, name, group)
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func TestGrantOfEachToken(t *testing.T) {
	phones := &Scope{Names: []Pattern{"phone-*"}, Groups: []Pattern{"family"}}
	a, err := Open(t.TempDir(), "single", 0, testNow,
		tokenOf("ci", Send, nil, phones), tokenOf("phone", Receive, phones, nil), tokenOf("all", Send|Receive|Admin, nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	const noSend, noReceive, noAdmin = "may not send: its rights are ", "may not receive: its rights are ", "may not ask about others' messages: its rights are "
	for _, row := range []struct {
		name string
		want [7]string // of what is asked below
	}{
		{"ci", [7]string{"", `may not send to "tv"`, "", `may not send to the group "phone-1"`, noReceive + "send", noReceive + "send", noAdmin + "send"}},
		{"phone", [7]string{noSend + "receive", noSend + "receive", noSend + "receive", noSend + "receive", "", `may not receive as "tv"`, noAdmin + "receive"}},
		{"all", [7]string{}},
	} {
		grant, _, ok := a.Check("value of " + row.name)
		if !ok {
			t.Fatal(row.name)
		}
		for i, err := range []error{
			grant.MaySend(1, "phone-1"), grant.MaySend(1, "tv"), grant.MaySend(2, "family"), grant.MaySend(2, "phone-1"),
			grant.MayBe("phone-1", "family"), grant.MayBe("tv", ""), grant.MayOversee(),
		} {
			got := ""
			if err != nil {
				got = err.Error()
			}
			want := row.want[i]
			if want != "" {
				want = fmt.Sprintf("token %q %s", row.name, want)
			}
			if got != want {
				t.Errorf("%s, %d: %s, want %s", row.name, i, got, want)
			}
		}
	}
	if grant, epoch, ok := a.Check("single"); !ok || grant != nil || epoch != a.Epoch() || grant.MaySend(1, "x") != nil || grant.MayBe("x", "y") != nil || grant.MayOversee() != nil {
		t.Error("the single token may do everything")
	}
	for _, wrong := range []string{"", "ci", "value of CI", "value of ci "} {
		if _, _, ok := a.Check(wrong); ok {
			t.Errorf("%q is a token", wrong)
		}
	}
}

// An empty single token lets somebody in only where nothing is known of others.
func TestEmptyTokenBesideOthersIsNone(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir, "", 0, testNow)
	session, err := a.Issue("phone", "")
	if err != nil || !a.CheckToken("") {
		t.Fatal(err)
	}
	for what, tokens := range map[string][]Token{"others": {tokenOf("ci", Send, nil, nil)}, "an empty list": {}} {
		a, err := Open(dir, "", 0, testNow, tokens...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Verify(session); a.CheckToken("") || !errors.Is(err, ErrSession) {
			t.Errorf("%s: %v", what, err)
		}
	}
	before := a.Epoch()
	a.change(t, "", []Token{}...)
	if a.CheckToken("") || a.Epoch() == before {
		t.Error("a change to none is none")
	}
	// Whoever is let in without a token has a session all the same.
	session, err = a.Issue("phone", "")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := a.Verify(session); err != nil || got.Grant != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestSessionIsOfItsTokenAlone(t *testing.T) {
	dir := t.TempDir()
	phones := &Scope{Names: []Pattern{"phone-*"}}
	ci, phone := tokenOf("ci", Send|Receive, nil, nil), tokenOf("phone", Receive, phones, nil)
	a, err := Open(dir, "single", 0, testNow, ci, phone)
	if err != nil {
		t.Fatal(err)
	}
	single, ofCI, ofPhone := issue(t, a, "single", "x", ""), issue(t, a, "value of ci", "x", "g"), issue(t, a, "value of phone", "phone-1", "")
	alive := func(a *Authority) string {
		t.Helper()
		var text string
		for _, session := range []string{single, ofCI, ofPhone} {
			if _, err := a.Verify(session); err == nil {
				text += "1"
			} else {
				text += "0"
			}
		}
		return text
	}
	other := phone
	other.Sum = sha256.Sum256([]byte("another value"))
	renamed := phone
	renamed.Name = "renamed"
	over := phone
	over.Expires = testNow()
	for _, row := range []struct {
		what   string
		token  string
		tokens []Token
		want   string
	}{
		{"after a restart", "single", []Token{ci, phone}, "111"}, {"in another order", "single", []Token{phone, ci}, "111"},
		{"another single token", "other", []Token{ci, phone}, "011"}, {"one is gone", "single", []Token{ci}, "110"},
		{"all are gone", "single", nil, "100"}, {"one has another value", "single", []Token{ci, other}, "110"},
		{"one has another name", "single", []Token{ci, renamed}, "110"}, {"one is over", "single", []Token{ci, over}, "110"},
	} {
		again, err := Open(dir, row.token, 0, testNow, row.tokens...)
		if err != nil {
			t.Fatal(err)
		}
		if got := alive(again); got != row.want {
			t.Errorf("%s: %s, want %s", row.what, got, row.want)
		}
		a.change(t, row.token, row.tokens...)
		if got := alive(a); got != row.want {
			t.Errorf("%s, while it runs: %s, want %s", row.what, got, row.want)
		}
		a.change(t, "single", ci, phone)
	}
	// What the token may now is what its sessions may.
	narrowed := phone
	narrowed.Receivers = &Scope{Names: []Pattern{"tv"}}
	a.change(t, "single", ci, narrowed)
	if got, err := a.Verify(ofPhone); err != nil || got.Grant.MayBe(got.Name, got.Group) == nil {
		t.Errorf("narrowed: %+v, %v", got, err)
	}
	// The header does not say what is not so: another token's key is not this one's.
	for _, header := range []string{sessionHeader, ofCI[:len(headerOf("0123456789abcdef"))], headerOf("lent"), headerOf("0123456789abcdef")} {
		forged := header + ofPhone[len(headerOf("0123456789abcdef")):]
		if got, err := a.Verify(forged); !errors.Is(err, ErrSession) {
			t.Errorf("under another header: %+v, %v", got, err)
		}
	}
}

func TestEpochsEndOneByOne(t *testing.T) {
	now := testNow()
	phones := &Scope{Names: []Pattern{"phone-*"}}
	ci, phone := tokenOf("ci", Send, nil, nil), tokenOf("phone", Send|Receive, phones, nil)
	a, err := Open(t.TempDir(), "single", 0, func() time.Time { return now }, ci, phone)
	if err != nil {
		t.Fatal(err)
	}
	epochs := func() [3]uint64 {
		t.Helper()
		var all [3]uint64
		for i, token := range []string{"single", "value of ci", "value of phone"} {
			if _, epoch, ok := a.Check(token); ok {
				all[i] = epoch
			} else {
				all[i] = 99
			}
		}
		return all
	}
	expect := func(what string, before [3]uint64, same ...bool) [3]uint64 {
		t.Helper()
		after := epochs()
		for i := range after {
			if (after[i] == before[i]) != same[i] {
				t.Errorf("%s: %v, before %v", what, after, before)
			}
		}
		newest, holding := a.Epochs()
		for _, epoch := range holding {
			if epoch > newest {
				t.Errorf("%s: %d is newer than the newest, %d", what, epoch, newest)
			}
		}
		return after
	}
	first := expect("at first", epochs(), true, true, true)
	a.change(t, "single", ci, phone)
	expect("the same again", first, true, true, true)
	ci.Targets, phone.Targets, phone.Rights = phones, phones, Receive
	phone.Expires = now.Add(time.Minute)
	a.change(t, "single", phone, ci)
	expect("what it may send is nobody's connection", first, true, true, true)
	phone.Receivers = &Scope{Names: []Pattern{"phone-1"}}
	a.change(t, "single", ci, phone)
	second := expect("whom it may be", first, true, true, false)
	if _, err := a.IssueIn(first[2], "phone-1", ""); !errors.Is(err, ErrEpoch) {
		t.Errorf("a session of the epoch before: %v", err)
	}
	now = now.Add(time.Minute)
	expect("over", second, true, true, false)
	if _, err := a.IssueIn(second[2], "phone-1", ""); !errors.Is(err, ErrEpoch) {
		t.Errorf("a session of what is over: %v", err)
	}
	if _, holding := a.Epochs(); len(holding) != 2 {
		t.Errorf("holding %v", holding)
	}
}
