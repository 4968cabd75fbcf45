package auth

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"mpush/core/message"
)

const (
	// lentEpoch is that of all lent tokens. It is greater than any other, and does
	// not end: whoever has logged in with one stays.
	lentEpoch = math.MaxUint64
	// lentKeyID is in the header of their sessions.
	lentKeyID = "lent"
	// mostLent bounds the lent tokens at one time: beyond it the oldest goes, which
	// was used long ago as a rule.
	mostLent = 4096
)

// lent are the tokens that live in memory. Their sessions are all of one key,
// which lives as long: a session holds for the name and the group that are in it.
type lent struct {
	key    []byte
	header string

	mu     sync.Mutex
	tokens []lentToken
}

type lentToken struct {
	sum     [sha256.Size]byte
	grant   *Grant
	expires time.Time
}

func (l *lent) open(secret []byte) (err error) {
	nonce := make([]byte, sha256.Size)
	if _, err := rand.Read(nonce); err != nil {
		return err
	}
	if l.key, err = hkdf.Key(sha256.New, nonce, secret, "mpush session HS256 lent", sha256.Size); err != nil {
		return fmt.Errorf("session key: %w", err)
	}
	l.header = headerOf(lentKeyID)
	return nil
}

// Lend makes a token by which somebody may log in, for the time of ttl, as this
// receiver in this group, "" being none, and do nothing else but receive. What is
// logged in by then stays. It is not kept: after a restart it is unknown.
func (a *Authority) Lend(name, group string, ttl time.Duration) (token string, err error) {
	if !message.ValidName(name) || group != "" && !message.ValidName(group) {
		return "", fmt.Errorf("name and group must have 1 to %d bytes and no control characters", message.MaxNameBytes)
	}
	value := make([]byte, sha256.Size)
	if _, err := rand.Read(value); err != nil {
		return "", err
	}
	token = hex.EncodeToString(value)
	now := a.now()
	a.lent.mu.Lock()
	defer a.lent.mu.Unlock()
	kept := slices.DeleteFunc(a.lent.tokens, func(t lentToken) bool { return !now.Before(t.expires) })
	if len(kept) >= mostLent {
		kept = slices.Delete(kept, 0, len(kept)-mostLent+1)
	}
	a.lent.tokens = append(kept, lentToken{sha256.Sum256([]byte(token)), lentGrant(name, group), now.Add(ttl)})
	return token, nil
}

func lentGrant(name, group string) *Grant {
	return &Grant{rights: Receive, lent: true, lentName: name, lentGroup: group}
}

// find returns the grant of a lent token, or nil.
func (l *lent) find(sum [sha256.Size]byte, now time.Time) (grant *Grant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.tokens {
		if t := &l.tokens[i]; subtle.ConstantTimeCompare(sum[:], t.sum[:]) == 1 && now.Before(t.expires) {
			grant = t.grant
		}
	}
	return grant
}
