package auth

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"mpush/core/message"
)

// Session is what a client was authenticated as.
type Session struct {
	Name     string
	Group    string // "" is none
	IssuedAt time.Time
	// Grant is what the token allows, now, that the session is of; nil bounds
	// nothing. That it allows the name and the group is still to be asked.
	Grant *Grant
}

// ErrSession: the session is malformed, forged, or of another token or data
// directory. The client has to authenticate again.
var ErrSession = errors.New("invalid session")

// ErrExpired: the session was genuine but is older than the configured ttl. The
// client has to authenticate again.
var ErrExpired = errors.New("session expired")

// maxSessionBytes bounds what Verify looks at. A session of the longest name
// and group, every byte of them escaped, has 1.6 KiB.
const maxSessionBytes = 4 << 10

// sessionHeader is {"alg":"HS256","typ":"JWT"}. Every session of the single token
// has exactly this header, and those of another the one that headerOf makes. So
// Verify looks for it among those that there are and never interprets one: there
// is no algorithm or extension for a client to choose.
const sessionHeader = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"

// keyIDBytes are enough to tell tokens apart.
const keyIDBytes = 8

// headerOf is the header of the sessions of one key.
func headerOf(keyID string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","kid":"` + keyID + `","typ":"JWT"}`))
}

// claims are the session's content, in the order in which they are written.
type claims struct {
	Name     string `json:"name"`
	Group    string `json:"group,omitempty"`
	IssuedAt int64  `json:"iat"` // Unix seconds
}

func (c claims) encode() ([]byte, error) {
	var payload bytes.Buffer
	encoder := json.NewEncoder(&payload)
	// The default escapes of <, > and & would make a session of a long name
	// exceed maxSessionBytes.
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(c)
	return bytes.TrimSuffix(payload.Bytes(), []byte("\n")), err
}

// ErrEpoch: the token was changed, revoked or expired after the client had shown it.
var ErrEpoch = errors.New("the token is no longer valid")

// IssueIn is Issue for a client that was admitted in an epoch, by the token of
// that epoch. If it is over, the error is ErrEpoch.
func (a *Authority) IssueIn(epoch uint64, name, group string) (string, error) {
	rule := a.rule.Load()
	switch epoch {
	case rule.epoch:
		return a.issue(sessionHeader, rule.key, name, group)
	case lentEpoch:
		return a.issue(a.lent.header, a.lent.key, name, group)
	}
	for _, c := range rule.tokens {
		if c.epoch == epoch && c.live(a.now()) {
			return a.issue(c.header, c.key, name, group)
		}
	}
	return "", ErrEpoch
}

// Issue makes a session of the single token for a name and a group, "" being
// none. An error means that the name or the group is not valid on the wire.
func (a *Authority) Issue(name, group string) (string, error) {
	return a.issue(sessionHeader, a.rule.Load().key, name, group)
}

func (a *Authority) issue(header string, key []byte, name, group string) (string, error) {
	if !message.ValidName(name) {
		return "", errors.New("issue session: invalid name")
	}
	if group != "" && !message.ValidName(group) {
		return "", errors.New("issue session: invalid group")
	}
	payload, err := claims{name, group, a.now().Unix()}.encode()
	if err != nil {
		return "", fmt.Errorf("issue session: %w", err)
	}
	signed := header + "." + base64.RawURLEncoding.EncodeToString(payload)
	signature, err := jwt.SigningMethodHS256.Sign(signed, key)
	if err != nil {
		return "", fmt.Errorf("issue session: %w", err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// Verify reads a session that was issued. Any other string, and a session of a
// token that is gone, gives ErrSession, an old session ErrExpired. A session from
// the future is good: clocks are set back, and only this relay can have made it.
func (a *Authority) Verify(session string) (Session, error) {
	header, _, found := strings.Cut(session, ".")
	dot := strings.LastIndexByte(session, '.')
	if len(session) > maxSessionBytes || !found || dot <= len(header) {
		return Session{}, ErrSession
	}
	rule := a.rule.Load()
	key, grant, lent := rule.key, (*Grant)(nil), false
	if header != sessionHeader {
		c := rule.byHeader[header]
		switch lent = header == a.lent.header; {
		case lent:
			key = a.lent.key
		case c != nil && c.live(a.now()):
			key, grant = c.key, c.grant
		default:
			return Session{}, ErrSession
		}
	}
	signed, encodedSignature := session[:dot], session[dot+1:]
	encoding := base64.RawURLEncoding.Strict()
	signature, err := encoding.DecodeString(encodedSignature)
	if err != nil || hasLineBreak(encodedSignature) {
		return Session{}, ErrSession
	}
	if jwt.SigningMethodHS256.Verify(signed, signature, key) != nil {
		return Session{}, ErrSession
	}
	// From here on the bytes are our own.
	payload, err := encoding.DecodeString(signed[len(header)+1:])
	if err != nil {
		return Session{}, ErrSession
	}
	var c claims
	if json.Unmarshal(payload, &c) != nil || c.Name == "" {
		return Session{}, ErrSession
	}
	issued := time.Unix(c.IssuedAt, 0)
	if rule.ttl > 0 && a.now().Sub(issued) >= rule.ttl {
		return Session{}, ErrExpired
	}
	if lent {
		grant = lentGrant(c.Name, c.Group)
	}
	return Session{Name: c.Name, Group: c.Group, IssuedAt: issued, Grant: grant}, nil
}

// HasForm tells whether a text is by its form a session, which lets nobody in: it
// may be forged, or of a token that is gone, and these two nobody can tell apart.
func HasForm(text string) bool {
	header, rest, _ := strings.Cut(text, ".")
	payload, signature, found := strings.Cut(rest, ".")
	if len(text) > maxSessionBytes || !found || hasLineBreak(text) || !isHeader(header) {
		return false
	}
	encoding := base64.RawURLEncoding.Strict()
	if sum, err := encoding.DecodeString(signature); err != nil || len(sum) != sha256.Size {
		return false
	}
	content, err := encoding.DecodeString(payload)
	var c claims
	if err != nil || json.Unmarshal(content, &c) != nil || !message.ValidName(c.Name) || c.Group != "" && !message.ValidName(c.Group) {
		return false
	}
	// Claims of others may be among ours; only issue writes just these, so.
	ours, err := c.encode()
	return err == nil && bytes.Equal(ours, content)
}

// isHeader knows the headers of all sessions that were ever issued.
func isHeader(header string) bool {
	text, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		return false
	}
	const before, after = `{"alg":"HS256","kid":"`, `","typ":"JWT"}`
	id, found := strings.CutPrefix(strings.TrimSuffix(string(text), after), before)
	known := id == lentKeyID
	if sum, err := hex.DecodeString(id); err == nil && len(sum) == keyIDBytes {
		known = true
	}
	return header == sessionHeader || found && known && header == headerOf(id)
}

// hasLineBreak finds what the base64 decoder skips silently, so that one
// session has one spelling.
func hasLineBreak(s string) bool { return strings.ContainsAny(s, "\r\n") }
