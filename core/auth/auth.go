// Package auth owns who may come in: it checks the relay's token, and it makes
// and checks the sessions that clients get for it. Which entry asks for which
// of the two is the relay's affair, as is what an authenticated client may do.
package auth

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"time"
)

// Authority checks tokens and sessions. All methods may be called from any
// goroutine; it never changes after Open.
type Authority struct {
	tokenSum [sha256.Size]byte
	key      []byte
	ttl      time.Duration
	now      func() time.Time
}

// Open derives the sessions' key from the relay's token and the secret of the
// data directory, which is made at the first start. So a change of either ends
// all sessions, and knowing the token is not enough to forge or to guess one.
//
// The caller holds the data directory's lock. A ttl of 0 lets sessions live for
// ever. now is the clock, time.Now outside of tests. An error names the file
// and what to do about it.
func Open(dataDir, token string, ttl time.Duration, now func() time.Time) (*Authority, error) {
	secret, err := loadSecret(dataDir)
	if err != nil {
		return nil, fmt.Errorf("session secret: %w", err)
	}
	key, err := hkdf.Key(sha256.New, []byte(token), secret, "mpush session HS256", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("session key: %w", err)
	}
	return &Authority{tokenSum: sha256.Sum256([]byte(token)), key: key, ttl: ttl, now: now}, nil
}

// CheckToken reports whether token is the relay's, in a time that tells nothing
// of either. An empty configured token is matched by an empty one alone.
func (a *Authority) CheckToken(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(sum[:], a.tokenSum[:]) == 1
}
