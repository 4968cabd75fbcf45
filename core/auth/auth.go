// Package auth owns who may come in: it checks the relay's token, and it makes
// and checks the sessions that clients get for it. A Scope says whom somebody may
// deal with. Which entry asks for which
// of the two is the relay's affair, as is what an authenticated client may do.
package auth

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"sync/atomic"
	"time"
)

// Authority checks tokens and sessions. All methods may be called from any
// goroutine.
type Authority struct {
	secret []byte // the data directory's
	now    func() time.Time
	rule   atomic.Pointer[rule]
}

// rule is what holds until the next change.
type rule struct {
	epoch    uint64 // counts tokens, from 0
	tokenSum [sha256.Size]byte
	key      []byte
	ttl      time.Duration
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
	a := &Authority{secret: secret, now: now}
	begin, err := a.Prepare(token, ttl)
	if err != nil {
		return nil, err
	}
	begin()
	return a, nil
}

// Prepare makes ready to replace token and ttl, which change does. Another token
// ends all sessions and begins a new epoch. From Prepare to change nobody else
// may call either.
func (a *Authority) Prepare(token string, ttl time.Duration) (change func(), err error) {
	key, err := hkdf.Key(sha256.New, []byte(token), a.secret, "mpush session HS256", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("session key: %w", err)
	}
	before := a.rule.Load()
	next := &rule{tokenSum: sha256.Sum256([]byte(token)), key: key, ttl: ttl}
	if before != nil {
		next.epoch = before.epoch
		if next.tokenSum != before.tokenSum {
			next.epoch++
		}
	}
	return func() { a.rule.Store(next) }, nil
}

// Epoch tells how often the token has changed since Open. Who is admitted in one
// epoch gets no session of the next: ask for the epoch first, then check, then
// call IssueIn.
func (a *Authority) Epoch() uint64 { return a.rule.Load().epoch }

// CheckToken reports whether token is the relay's, in a time that tells nothing
// of either. An empty configured token is matched by an empty one alone.
func (a *Authority) CheckToken(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(sum[:], a.rule.Load().tokenSum[:]) == 1
}
