package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

const (
	secretA = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	secretB = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD+OX1AyJvcXo="
)

// The example that the specification's libraries are tested with.
func TestSignatureOfThePublishedExample(t *testing.T) {
	var s secrets
	if err := s.UnmarshalJSON([]byte(`"` + secretA + `"`)); err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	s.sign(h, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if got, want := h.Get("webhook-signature"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
	if h.Get("webhook-id") != "msg_p5jXN8AQM9LWM0D4loKWxJek" || h.Get("webhook-timestamp") != "1614265330" {
		t.Errorf("headers %v", h)
	}
}

// verified does what an endpoint does: any of the signatures may be good.
func verified(t *testing.T, r received, secret string, now time.Time) bool {
	t.Helper()
	seconds, err := strconv.ParseInt(r.header.Get("Webhook-Timestamp"), 10, 64)
	if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		t.Errorf("timestamp %q: %v", r.header.Get("Webhook-Timestamp"), err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	for _, part := range []string{r.header.Get("Webhook-Id"), r.header.Get("Webhook-Timestamp"), r.body} {
		if part != r.header.Get("Webhook-Id") {
			mac.Write([]byte{'.'})
		}
		mac.Write([]byte(part))
	}
	want := mac.Sum(nil)
	for signature := range strings.SplitSeq(r.header.Get("Webhook-Signature"), " ") {
		version, value, _ := strings.Cut(signature, ",")
		given, err := base64.StdEncoding.DecodeString(value)
		if version != "v1" || err != nil {
			t.Errorf("signature %q: %v", signature, err)
		}
		if hmac.Equal(given, want) {
			return true
		}
	}
	return false
}

func TestPostsAreSignedWithEachSecret(t *testing.T) {
	for name, test := range map[string]struct {
		secret string
		good   []string
		bad    []string
	}{
		"one":  {`"` + secretA + `"`, []string{secretA}, []string{secretB}},
		"list": {`["` + secretB + `"]`, []string{secretB}, []string{secretA}},
		"two":  {`["` + secretA + `","` + secretB + `"]`, []string{secretA, secretB}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			e := listen(t, nil)
			b := start(t, clientsOf(clientOf("wh1", e.URL, `"secret":`+test.secret)), plugintest.Options{})
			mid := b.Deliver("wh1", &pluginpb.Message{Text: "hällo"})
			b.expect(t, acked)
			got := e.next(t)
			if id := got.header.Get("Webhook-Id"); id != strconv.FormatInt(mid, 10) {
				t.Errorf("webhook-id %q, want %d", id, mid)
			}
			for _, secret := range test.good {
				if !verified(t, got, secret, time.Now()) {
					t.Errorf("no signature by %s", secret)
				}
			}
			for _, secret := range test.bad {
				if verified(t, got, secret, time.Now()) {
					t.Errorf("a signature by %s", secret)
				}
			}
			forged := got
			forged.body += " "
			if verified(t, forged, test.good[0], time.Now()) {
				t.Error("the signature does not cover the body")
			}
		})
	}
}

func TestEachAttemptIsSignedAtItsTime(t *testing.T) {
	e := listen(t, answering(http.StatusInternalServerError))
	b := start(t, clientsOf(clientOf("wh1", e.URL, `"secret":"`+secretA+`"`)), plugintest.Options{})
	now := time.Unix(2000000000, 0)
	b.plugin.now = func() time.Time { return now }
	mid := b.Deliver("wh1", &pluginpb.Message{})
	b.expect(t, retry)
	first := e.next(t)
	now = now.Add(time.Hour)
	b.Resend("wh1", mid)
	b.expect(t, retry)
	second := e.next(t)
	if first.header.Get("Webhook-Timestamp") != "2000000000" || second.header.Get("Webhook-Timestamp") != "2000003600" {
		t.Errorf("signed at %v and %v", first.header["Webhook-Timestamp"], second.header["Webhook-Timestamp"])
	}
	if first.header.Get("Webhook-Id") != second.header.Get("Webhook-Id") || !verified(t, second, secretA, now) {
		t.Errorf("headers %v", second.header)
	}
}

func TestUnsignedRequestsHaveNoSignature(t *testing.T) {
	for _, secret := range []string{`null`, `[]`} {
		e := listen(t, nil)
		b := start(t, clientsOf(clientOf("wh1", e.URL, `"secret":`+secret)), plugintest.Options{})
		b.Deliver("wh1", &pluginpb.Message{})
		b.expect(t, acked)
		if h := e.next(t).header; h.Get("Webhook-Signature") != "" || h.Get("Webhook-Id") != "" {
			t.Errorf("secret %s: headers %v", secret, h)
		}
	}
}
