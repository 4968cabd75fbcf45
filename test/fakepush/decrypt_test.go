package fakepush

import (
	"bytes"
	"crypto/ecdh"
	"encoding/base64"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func unbase64(t *testing.T, text string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// vector is the example of RFC 8291, section 5 and appendix A.
func vector(t *testing.T) (body []byte, key *ecdh.PrivateKey, auth []byte) {
	t.Helper()
	key, err := ecdh.P256().NewPrivateKey(unbase64(t, "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"))
	if err != nil {
		t.Fatal(err)
	}
	const public = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
	if got := base64.RawURLEncoding.EncodeToString(key.PublicKey().Bytes()); got != public {
		t.Fatalf("public key %s", got)
	}
	body = unbase64(t, "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml"+
		"mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT"+
		"pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN")
	return body, key, unbase64(t, "BTBZMqHH6r4Tts7J_aSIgg")
}

func TestDecryptsTheExampleOfTheRFC(t *testing.T) {
	body, key, auth := vector(t)
	got, err := decrypt(body, key, auth)
	if err != nil || string(got) != "When I grow up, I want to be a watermelon" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestRefusesWhatIsNotEncryptedAsItShouldBe(t *testing.T) {
	other, err := ecdh.P256().NewPrivateKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		change func(body []byte, key **ecdh.PrivateKey, auth []byte) []byte
		want   string
	}{
		"another receiver":  {func(b []byte, key **ecdh.PrivateKey, _ []byte) []byte { *key = other; return b }, "not encrypted for"},
		"another secret":    {func(b []byte, _ **ecdh.PrivateKey, auth []byte) []byte { auth[0]++; return b }, "not encrypted for"},
		"another salt":      {func(b []byte, _ **ecdh.PrivateKey, _ []byte) []byte { b[0]++; return b }, "not encrypted for"},
		"changed text":      {func(b []byte, _ **ecdh.PrivateKey, _ []byte) []byte { b[90]++; return b }, "not encrypted for"},
		"too short":         {func(b []byte, _ **ecdh.PrivateKey, _ []byte) []byte { return b[:100] }, "too short"},
		"more than one":     {func(b []byte, _ **ecdh.PrivateKey, _ []byte) []byte { b[18], b[19] = 0, 40; return b }, "not one record"},
		"key of a length":   {func(b []byte, _ **ecdh.PrivateKey, _ []byte) []byte { b[20] = 64; return b }, "a key of 64 bytes"},
		"key off the curve": {func(b []byte, _ **ecdh.PrivateKey, _ []byte) []byte { b[22]++; return b }, "the sender's key"},
	} {
		t.Run(name, func(t *testing.T) {
			body, key, auth := vector(t)
			if got, err := decrypt(row.change(body, &key, auth), key, auth); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
