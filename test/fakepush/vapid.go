package fakepush

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/mail"
	"net/url"
	"strings"
	"time"
)

// Claims are what the sender's token says (RFC 8292, section 2).
type Claims struct {
	Audience string `json:"aud"`
	Subject  string `json:"sub"`
	Expires  int64  `json:"exp"` // Unix seconds
}

// maxAhead is how far ahead a token may expire (RFC 8292, section 2).
const maxAhead = 24 * time.Hour

// checkVAPID checks the sender's authorization: one field "vapid t=…, k=…" whose
// token is signed with key, for this audience, and in time.
func checkVAPID(fields []string, audience, key string, now time.Time) (Claims, error) {
	if len(fields) != 1 {
		return Claims{}, fmt.Errorf("vapid: %d authorization fields", len(fields))
	}
	token, given, err := splitVAPID(fields[0])
	if err != nil {
		return Claims{}, err
	}
	if given != key {
		return Claims{}, errors.New("vapid: another key than the subscription was made for")
	}
	point, err := base64.RawURLEncoding.Strict().DecodeString(given)
	if err != nil {
		return Claims{}, errors.New("vapid: k is not base64url without padding")
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return Claims{}, fmt.Errorf("vapid: k: %w", err)
	}
	claims, err := checkToken(token, public)
	if err != nil {
		return Claims{}, err
	}
	return claims, claims.check(audience, now)
}

func splitVAPID(field string) (token, key string, err error) {
	rest, ok := strings.CutPrefix(field, "vapid ")
	if !ok {
		return "", "", errors.New("vapid: another scheme of authorization")
	}
	parts := make(map[string]string)
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		parts[name] = value
	}
	if len(parts) != 2 || parts["t"] == "" || parts["k"] == "" {
		return "", "", errors.New("vapid: expected t and k")
	}
	return parts["t"], parts["k"], nil
}

// checkToken checks a JWT's form and its ES256 signature (RFC 7515, RFC 7518
// section 3.4).
func checkToken(token string, public *ecdsa.PublicKey) (Claims, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return Claims{}, errors.New("vapid: t is no JWT")
	}
	var decoded [3][]byte
	for i, part := range parts {
		var err error
		if decoded[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return Claims{}, errors.New("vapid: a part of t is not base64url without padding")
		}
	}
	var head struct {
		Algorithm string `json:"alg"`
	}
	if err := json.Unmarshal(decoded[0], &head); err != nil || head.Algorithm != "ES256" {
		return Claims{}, fmt.Errorf("vapid: the algorithm of t is %q", head.Algorithm)
	}
	signature := decoded[2]
	if len(signature) != 64 {
		return Claims{}, fmt.Errorf("vapid: a signature of %d bytes", len(signature))
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	if !ecdsa.Verify(public, digest[:], r, s) {
		return Claims{}, errors.New("vapid: the signature is not that of k")
	}
	var claims Claims
	reader := json.NewDecoder(bytes.NewReader(decoded[1]))
	if err := reader.Decode(&claims); err != nil {
		return Claims{}, fmt.Errorf("vapid: the claims: %w", err)
	}
	return claims, nil
}

// check holds the claims against the service's origin and the time. A subject
// is asked for, as services in the field do.
func (c Claims) check(audience string, now time.Time) error {
	expires := time.Unix(c.Expires, 0)
	switch {
	case c.Audience != audience:
		return fmt.Errorf("vapid: the audience is %q, not %q", c.Audience, audience)
	case !expires.After(now) || expires.After(now.Add(maxAhead)):
		return fmt.Errorf("vapid: it expires %v from now", expires.Sub(now))
	}
	if address, ok := strings.CutPrefix(c.Subject, "mailto:"); ok {
		if parsed, err := mail.ParseAddress(address); err == nil && parsed.Address == address {
			return nil
		}
	} else if u, err := url.Parse(c.Subject); err == nil && u.Scheme == "https" && u.Host != "" {
		return nil
	}
	return fmt.Errorf("vapid: the subject %q is neither a mailto: nor an https: url", c.Subject)
}
