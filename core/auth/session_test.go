package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"mpush/core/message"
)

func TestSessionRoundTrip(t *testing.T) {
	a := open(t, t.TempDir(), "token", 0, testNow)
	for _, want := range []Session{
		{Name: "phone", IssuedAt: testNow()},
		{Name: "phone", Group: "null", IssuedAt: testNow()},
		{Name: `quo"te\ <&>  手机`, Group: "g.1/2", IssuedAt: testNow()},
	} {
		session, err := a.Issue(want.Name, want.Group)
		if err != nil {
			t.Fatal(err)
		}
		got, err := a.Verify(session)
		if err != nil || got != want {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
}

func TestLongestNamesFitTheSizeLimit(t *testing.T) {
	a := open(t, t.TempDir(), "token", 0, testNow)
	for _, unit := range []string{"x", "<", `"`, `\`, "\u2028", "\U0001f4f1"} {
		name := strings.Repeat(unit, message.MaxNameBytes/len(unit))
		session, err := a.Issue(name, name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := a.Verify(session); err != nil || got.Name != name || got.Group != name {
			t.Errorf("%q: session of %d bytes: %v", unit, len(session), err)
		}
	}
}

func TestIssueRefusesInvalidNames(t *testing.T) {
	a := open(t, t.TempDir(), "token", 0, testNow)
	for _, test := range [][2]string{
		{"", ""}, {"a\nb", ""}, {"a\xff", ""}, {strings.Repeat("x", 257), ""}, {"a", "b\x00"}, {"a", "\xff"},
	} {
		if session, err := a.Issue(test[0], test[1]); err == nil {
			t.Errorf("issued %q for %q", session, test)
		}
	}
}

// Another implementation must find a plain HS256 JWT with the claims that were
// promised, no group where there is none.
func TestSessionIsAStandardJWT(t *testing.T) {
	a := open(t, t.TempDir(), "token", 0, testNow)
	for group, want := range map[string]string{
		"":  `{"name":"phone","iat":1700000000}`,
		"g": `{"name":"phone","group":"g","iat":1700000000}`,
	} {
		session, err := a.Issue("phone", group)
		if err != nil {
			t.Fatal(err)
		}
		parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithStrictDecoding())
		token, err := parser.Parse(session, func(*jwt.Token) (any, error) { return a.rule.Load().key, nil })
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(token.Header); got != "map[alg:HS256 typ:JWT]" {
			t.Errorf("header %s", got)
		}
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(session, ".")[1])
		if err != nil || string(payload) != want {
			t.Errorf("payload %s, want %s (%v)", payload, want, err)
		}
	}
}

func TestVerifyRefusesWhatItDidNotIssue(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir, "token", 0, testNow)
	good, err := a.Issue("phone", "g")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	encode := base64.RawURLEncoding.EncodeToString
	sign := func(header, payload string) string {
		signed := encode([]byte(header)) + "." + payload
		signature, err := jwt.SigningMethodHS256.Sign(signed, a.rule.Load().key)
		if err != nil {
			t.Fatal(err)
		}
		return signed + "." + encode(signature)
	}
	signHS512 := func() string {
		signed := encode([]byte(`{"alg":"HS512","typ":"JWT"}`)) + "." + parts[1]
		signature, err := jwt.SigningMethodHS512.Sign(signed, a.rule.Load().key)
		if err != nil {
			t.Fatal(err)
		}
		return signed + "." + encode(signature)
	}
	// The last character of 32 bytes in base64 carries two bits that mean
	// nothing; a lax decoder takes four spellings of one signature.
	last := strings.IndexByte(base64URL, good[len(good)-1])
	respelled := good[:len(good)-1] + string(base64URL[last^1])

	standard := `{"alg":"HS256","typ":"JWT"}`
	for what, session := range map[string]string{
		"empty":                   "",
		"one part":                parts[0],
		"two parts":               parts[0] + "." + parts[1],
		"four parts":              good + "." + parts[2],
		"no signature":            parts[0] + "." + parts[1] + ".",
		"header and dots":         parts[0] + "..",
		"short signature":         good[:len(good)-4],
		"padded signature":        good + "=",
		"respelled signature":     respelled,
		"line break in signature": good[:len(good)-4] + "\n" + good[len(good)-4:],
		"changed payload":         parts[0] + "." + encode([]byte(`{"name":"other","iat":1700000000}`)) + "." + parts[2],
		"alg none":                encode([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + ".",
		"alg HS512":               signHS512(),
		"alg in lower case":       sign(`{"alg":"hs256","typ":"JWT"}`, parts[1]),
		"header with key id":      sign(`{"alg":"HS256","typ":"JWT","kid":"../../dev/null"}`, parts[1]),
		"header with crit":        sign(`{"alg":"HS256","crit":["b64"],"b64":false}`, parts[1]),
		"header in other order":   sign(`{"typ":"JWT","alg":"HS256"}`, parts[1]),
		"payload not base64":      sign(standard, "!!!"),
		"payload not JSON":        sign(standard, encode([]byte(`name`))),
		"payload without name":    sign(standard, encode([]byte(`{"iat":1700000000}`))),
		"payload of wrong type":   sign(standard, encode([]byte(`{"name":5,"iat":1700000000}`))),
		"too long":                sign(standard, encode([]byte(`{"name":"`+strings.Repeat("x", maxSessionBytes)+`"}`))),
	} {
		if got, err := a.Verify(session); !errors.Is(err, ErrSession) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	for at := range good {
		forged := []byte(good)
		forged[at] ^= 1
		if got, err := a.Verify(string(forged)); err == nil {
			t.Fatalf("byte %d flipped: %+v", at, got)
		}
	}
}

const base64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func TestSessionsEndWithTokenOrSecret(t *testing.T) {
	dir := t.TempDir()
	session, err := open(t, dir, "token", 0, testNow).Issue("phone", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, dir, "token", 0, testNow).Verify(session); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if _, err := open(t, dir, "token2", 0, testNow).Verify(session); !errors.Is(err, ErrSession) {
		t.Errorf("with another token: %v", err)
	}
	if _, err := open(t, t.TempDir(), "token", 0, testNow).Verify(session); !errors.Is(err, ErrSession) {
		t.Errorf("with another data directory: %v", err)
	}
	// The key must not be guessable from the token alone.
	forged, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"name": "phone"}).SignedString([]byte("token"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, dir, "token", 0, testNow).Verify(forged); !errors.Is(err, ErrSession) {
		t.Errorf("keyed with the bare token: %v", err)
	}
}

func TestSessionExpiry(t *testing.T) {
	dir := t.TempDir()
	session, err := open(t, dir, "token", 0, testNow).Issue("phone", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		ttl, age time.Duration
		want     error
	}{
		{0, 100 * 365 * 24 * time.Hour, nil},
		{time.Hour, 0, nil},
		{time.Hour, time.Hour - time.Second, nil},
		{time.Hour, time.Hour, ErrExpired},
		{time.Hour, -time.Hour, nil}, // the clock was set back
	} {
		a := open(t, dir, "token", test.ttl, func() time.Time { return testNow().Add(test.age) })
		if _, err := a.Verify(session); !errors.Is(err, test.want) {
			t.Errorf("ttl %v, age %v: %v, want %v", test.ttl, test.age, err, test.want)
		}
	}
}

func TestAuthorityIsSafeForConcurrentUse(t *testing.T) {
	a := open(t, t.TempDir(), "token", time.Hour, testNow)
	var clients sync.WaitGroup
	for n := range 8 {
		clients.Go(func() {
			name := fmt.Sprint("client", n)
			for range 50 {
				session, err := a.Issue(name, "g")
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := a.Verify(session); err != nil || got.Name != name {
					t.Errorf("%s: got %q, %v", name, got.Name, err)
				}
				if !a.CheckToken("token") {
					t.Error("token refused")
				}
			}
		})
	}
	clients.Wait()
}

func BenchmarkVerify(b *testing.B) {
	a, err := Open(b.TempDir(), "token", time.Hour, testNow)
	if err != nil {
		b.Fatal(err)
	}
	session, err := a.Issue("client-17", "phones")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Verify(session); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckToken(b *testing.B) {
	a, err := Open(b.TempDir(), "token", 0, testNow)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !a.CheckToken("token") {
			b.Fatal("token refused")
		}
	}
}

func TestFormOfASession(t *testing.T) {
	a := open(t, t.TempDir(), "token", 0, testNow)
	named, err := a.credential(Token{Name: "ci"})
	if err != nil {
		t.Fatal(err)
	}
	issue := func(header, name, group string) string {
		t.Helper()
		session, err := a.issue(header, []byte("a key that is gone"), name, group)
		if err != nil {
			t.Fatal(err)
		}
		return session
	}
	good := issue(sessionHeader, "phone", "g")
	for what, session := range map[string]string{
		"of the single token": good,
		"of another":          issue(named.header, "phone", ""),
		"of a lent one":       issue(a.lent.header, "phone", ""),
		"of an odd name":      issue(sessionHeader, `quo"te\ <&>  手机`, "\u2028"),
		"of a long name":      issue(named.header, strings.Repeat(`"`, message.MaxNameBytes), strings.Repeat(`"`, message.MaxNameBytes)),
	} {
		if !HasForm(session) {
			t.Errorf("%s: no session", what)
		}
	}
	encode := base64.RawURLEncoding.EncodeToString
	parts := strings.Split(good, ".")
	with := func(payload string) string { return parts[0] + "." + encode([]byte(payload)) + "." + parts[2] }
	for what, text := range map[string]string{
		"empty":              "",
		"a token":            "correct horse",
		"dots":               "..",
		"two parts":          parts[0] + "." + parts[1],
		"four parts":         good + "." + parts[2],
		"no signature":       parts[0] + "." + parts[1] + ".",
		"another signature":  good + "AA",
		"line break":         good + "\n",
		"another's header":   encode([]byte(`{"typ":"JWT","alg":"HS256"}`)) + "." + parts[1] + "." + parts[2],
		"another's key id":   headerOf("x") + "." + parts[1] + "." + parts[2],
		"another's claims":   with(`{"sub":"1234567890","name":"phone","iat":1700000000}`),
		"claims in disorder": with(`{"iat":1700000000,"name":"phone"}`),
		"space in claims":    with(`{"name":"phone", "iat":1700000000}`),
		"no name":            with(`{"name":"","iat":1700000000}`),
		"no such name":       with(`{"name":"a\n","iat":1700000000}`),
		"a fraction":         with(`{"name":"phone","iat":1.5}`),
		"too long":           with(`{"name":"` + strings.Repeat("x", maxSessionBytes) + `","iat":1}`),
	} {
		if HasForm(text) {
			t.Errorf("%s: %q is a session", what, text)
		}
	}
}
