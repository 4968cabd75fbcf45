package fakepush

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

// The example of RFC 8292, section 2.4.
const (
	exampleToken = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9" +
		".eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1MjM3NjgsInN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0" +
		".i3CYb7t4xfxCDquptFOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA"
	exampleKey = "BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs"
	exampleExp = 1453523768
)

func TestTakesTheExampleOfTheRFC(t *testing.T) {
	field := "vapid t=" + exampleToken + ", k=" + exampleKey
	claims, err := checkVAPID([]string{field}, "https://push.example.net", exampleKey, time.Unix(exampleExp-60, 0))
	if want := (Claims{"https://push.example.net", "mailto:push@example.com", exampleExp}); err != nil || claims != want {
		t.Errorf("got %+v, %v", claims, err)
	}
	for name, row := range map[string]struct {
		field, audience, key string
		now                  int64
		want                 string
	}{
		"late":           {field, "https://push.example.net", exampleKey, exampleExp, "it expires"},
		"too far ahead":  {field, "https://push.example.net", exampleKey, exampleExp - 24*60*60 - 1, "it expires"},
		"elsewhere":      {field, "https://push.example.org", exampleKey, exampleExp - 60, "audience"},
		"another key":    {field, "https://push.example.net", strings.ToLower(exampleKey), exampleExp - 60, "another key"},
		"other scheme":   {"WebPush " + exampleToken, "https://push.example.net", exampleKey, exampleExp - 60, "scheme"},
		"no key":         {"vapid t=" + exampleToken, "https://push.example.net", exampleKey, exampleExp - 60, "expected t and k"},
		"no token":       {"vapid t=x, k=" + exampleKey, "https://push.example.net", exampleKey, exampleExp - 60, "no JWT"},
		"bad signature":  {strings.Replace(field, "oD1oA", "oD1pA", 1), "https://push.example.net", exampleKey, exampleExp - 60, "signature is not that"},
		"changed claims": {strings.Replace(field, "eyJhdWQi", "eyJhdWQj", 1), "https://push.example.net", exampleKey, exampleExp - 60, "signature is not that"},
		"with padding":   {strings.Replace(field, "eHAn0", "eHAn0=", 1) + "=", "https://push.example.net", exampleKey + "=", exampleExp - 60, "not base64url"},
	} {
		if _, err := checkVAPID([]string{row.field}, row.audience, row.key, time.Unix(row.now, 0)); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := checkVAPID(nil, "", exampleKey, time.Now()); err == nil {
		t.Error("no authorization was taken")
	}
}

// What a sender may get wrong in a token that it signs well.
func TestRefusesClaimsThatServicesRefuse(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	public := base64.RawURLEncoding.EncodeToString(point)
	check := func(head, claims string) error {
		signed := base64.RawURLEncoding.EncodeToString([]byte(head)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
		digest := sha256.Sum256([]byte(signed))
		r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		signature := make([]byte, 64)
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
		field := "vapid t=" + signed + "." + base64.RawURLEncoding.EncodeToString(signature) + ", k=" + public
		_, err = checkVAPID([]string{field}, "http://127.0.0.1:1", public, time.Unix(1000, 0))
		return err
	}
	const head = `{"typ":"JWT","alg":"ES256"}`
	for _, sub := range []string{"mailto:a@b.org", "https://b.org/contact"} {
		if err := check(head, `{"aud":"http://127.0.0.1:1","exp":2000,"sub":"`+sub+`"}`); err != nil {
			t.Errorf("%s: %v", sub, err)
		}
	}
	for claims, want := range map[string]string{
		`{"aud":"http://127.0.0.1:1","exp":2000}`:                               "subject",
		`{"aud":"http://127.0.0.1:1","exp":2000,"sub":"mailto:"}`:               "subject",
		`{"aud":"http://127.0.0.1:1","exp":2000,"sub":"mailto:mailto:a@b.org"}`: "subject",
		`{"aud":"http://127.0.0.1:1","exp":2000,"sub":"a@b.org"}`:               "subject",
		`{"aud":"http://127.0.0.1:1","exp":2000,"sub":"http://b.org"}`:          "subject",
		`{"aud":"http://127.0.0.1","exp":2000,"sub":"mailto:a@b.org"}`:          "audience",
		`{"aud":"http://127.0.0.1:1","sub":"mailto:a@b.org"}`:                   "expires",
		`[]`: "claims",
	} {
		if err := check(head, claims); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", claims, err)
		}
	}
	if err := check(`{"alg":"none"}`, `{"aud":"http://127.0.0.1:1","exp":2000,"sub":"mailto:a@b.org"}`); err == nil || !strings.Contains(err.Error(), "algorithm") {
		t.Errorf("another algorithm: %v", err)
	}
}
