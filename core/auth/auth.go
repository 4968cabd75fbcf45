// Package auth owns who may come in, and for what: it checks the relay's tokens,
// and it makes and checks the sessions that clients get for them.
//
//   - auth.go: the tokens, and their change
//   - grant.go: what one of them allows
//   - lend.go: tokens in memory, for a receiver on this machine
//   - session.go: sessions
//   - scope.go: patterns of names and groups
//   - secret.go: the data directory's half of the sessions' keys
//
// Which entry asks for which right is the relay's affair.
package auth

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"time"
)

// Authority checks tokens and sessions. All methods may be called from any
// goroutine.
type Authority struct {
	secret []byte // the data directory's
	now    func() time.Time
	rule   atomic.Pointer[rule]
	lent   lent
}

// rule is what holds until the next change.
type rule struct {
	epoch    uint64 // the single token's
	newest   uint64 // of all epochs so far
	single   bool   // there is a single token; else nothing matches it
	tokenSum [sha256.Size]byte
	key      []byte // of its sessions
	ttl      time.Duration
	tokens   []*credential
	byHeader map[string]*credential // by the header of their sessions
}

// credential is one of the tokens that have a name.
type credential struct {
	token  Token
	grant  *Grant
	epoch  uint64
	key    []byte // of its sessions
	header string // of its sessions, which no other credential's have
}

func (c *credential) live(now time.Time) bool {
	return c.token.Expires.IsZero() || now.Before(c.token.Expires)
}

// Open derives the sessions' keys from the relay's tokens and the secret of the
// data directory, which is made at the first start. So a change of either ends
// sessions, and knowing a token is not enough to forge or to guess one.
//
// The caller holds the data directory's lock. A ttl of 0 lets sessions live for
// ever. now is the clock, time.Now outside of tests. token and tokens are as for
// Prepare. An error names the file and what to do about it.
func Open(dataDir, token string, ttl time.Duration, now func() time.Time, tokens ...Token) (*Authority, error) {
	secret, err := loadSecret(dataDir)
	if err != nil {
		return nil, fmt.Errorf("session secret: %w", err)
	}
	a := &Authority{secret: secret, now: now}
	if err := a.lent.open(secret); err != nil {
		return nil, err
	}
	begin, err := a.Prepare(token, ttl, tokens...)
	if err != nil {
		return nil, err
	}
	begin()
	return a, nil
}

// Prepare makes ready to replace the single token, which may be everybody and do
// everything, the tokens beside it, and the ttl; change does it. An empty single
// token is matched by an empty one, unless tokens is there, be it empty: then by
// none.
//
// A token that is another or gone loses its sessions and its epoch, one whose
// scope as a receiver has changed its epoch alone, and the others nothing. From
// Prepare to change nobody else may call either.
func (a *Authority) Prepare(token string, ttl time.Duration, tokens ...Token) (change func(), err error) {
	before := a.rule.Load()
	next := &rule{
		single: token != "" || tokens == nil, tokenSum: sha256.Sum256([]byte(token)), ttl: ttl,
		byHeader: make(map[string]*credential),
	}
	use := "mpush session HS256"
	if !next.single {
		use += " without a token" // an empty one was for everybody
	}
	if next.key, err = a.derive([]byte(token), use); err != nil {
		return nil, err
	}
	if before != nil {
		next.epoch, next.newest = before.epoch, before.newest
		if next.tokenSum != before.tokenSum || next.single != before.single {
			next.newest++
			next.epoch = next.newest
		}
	}
	for _, t := range tokens {
		c, err := a.credential(t)
		if err != nil {
			return nil, err
		}
		next.tokens = append(next.tokens, c)
		next.byHeader[c.header] = c
		if old := before.find(t.Name); old != nil && old.admitsAs(c) {
			c.epoch = old.epoch
			continue
		}
		next.newest++
		c.epoch = next.newest
	}
	return func() { a.rule.Store(next) }, nil
}

func (r *rule) find(name string) *credential {
	if r == nil {
		return nil
	}
	i := slices.IndexFunc(r.tokens, func(c *credential) bool { return c.token.Name == name })
	if i < 0 {
		return nil
	}
	return r.tokens[i]
}

// admitsAs tells whether whoever was let in by one of two is let in by the other.
func (c *credential) admitsAs(other *credential) bool {
	return c.token.Sum == other.token.Sum && c.token.Rights&Receive == other.token.Rights&Receive &&
		reflect.DeepEqual(c.token.Receivers, other.token.Receivers)
}

func (a *Authority) credential(t Token) (*credential, error) {
	key, err := a.derive(t.Sum[:], "mpush session HS256 of the token "+t.Name)
	if err != nil {
		return nil, err
	}
	id, err := a.derive(t.Sum[:], "mpush session key id of the token "+t.Name)
	if err != nil {
		return nil, err
	}
	grant := &Grant{token: t.Name, rights: t.Rights, receivers: t.Receivers, targets: t.Targets}
	return &credential{token: t, grant: grant, key: key, header: headerOf(hex.EncodeToString(id[:keyIDBytes]))}, nil
}

// derive makes a key out of a value and the data directory's secret.
func (a *Authority) derive(value []byte, use string) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, value, a.secret, use, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("session key: %w", err)
	}
	return key, nil
}

// Epoch is the single token's: another token has another one. Who was admitted in
// an epoch gets no session when it is over: ask for it first, then check, then
// call IssueIn. Check tells that of other tokens.
func (a *Authority) Epoch() uint64 { return a.rule.Load().epoch }

// Epochs are those that have not ended, in ascending order, and the newest of all
// that there were. A lent token's is greater, and does not end.
func (a *Authority) Epochs() (newest uint64, holding []uint64) {
	rule, now := a.rule.Load(), a.now()
	holding = []uint64{rule.epoch}
	for _, c := range rule.tokens {
		if c.live(now) {
			holding = append(holding, c.epoch)
		}
	}
	slices.Sort(holding)
	return rule.newest, holding
}

// Check says what a token allows, and its epoch; ok is false for one that is
// unknown or has expired. It takes a time that tells nothing of any token. The
// single token's grant is nil, which bounds nothing.
func (a *Authority) Check(token string) (grant *Grant, epoch uint64, ok bool) {
	rule, now, sum := a.rule.Load(), a.now(), sha256.Sum256([]byte(token))
	if rule.single && subtle.ConstantTimeCompare(sum[:], rule.tokenSum[:]) == 1 {
		epoch, ok = rule.epoch, true
	}
	for _, c := range rule.tokens {
		if subtle.ConstantTimeCompare(sum[:], c.token.Sum[:]) == 1 && c.live(now) {
			grant, epoch, ok = c.grant, c.epoch, true
		}
	}
	if lent := a.lent.find(sum, now); lent != nil {
		grant, epoch, ok = lent, lentEpoch, true
	}
	return grant, epoch, ok
}

// CheckToken reports whether token is one of the relay's.
func (a *Authority) CheckToken(token string) bool {
	_, _, ok := a.Check(token)
	return ok
}
