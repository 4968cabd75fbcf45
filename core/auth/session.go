package auth

import (
	"bytes"
	"encoding/base64"
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

// sessionHeader is {"alg":"HS256","typ":"JWT"}. Every session of ours has
// exactly this header, so Verify compares it and never interprets one: there is
// no algorithm, key or extension for a client to choose.
const sessionHeader = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"

// claims are the session's content, in the order in which they are written.
type claims struct {
	Name     string `json:"name"`
	Group    string `json:"group,omitempty"`
	IssuedAt int64  `json:"iat"` // Unix seconds
}

// ErrEpoch: the token was changed after the client had shown it.
var ErrEpoch = errors.New("the token has changed")

// IssueIn is Issue for a client that was admitted in an epoch. If that is over,
// the error is ErrEpoch.
func (a *Authority) IssueIn(epoch uint64, name, group string) (string, error) {
	rule := a.rule.Load()
	if rule.epoch != epoch {
		return "", ErrEpoch
	}
	return a.issue(rule, name, group)
}

// Issue makes a session for a name and a group, "" being none. An error means
// that the name or the group is not valid on the wire.
func (a *Authority) Issue(name, group string) (string, error) {
	return a.issue(a.rule.Load(), name, group)
}

func (a *Authority) issue(in *rule, name, group string) (string, error) {
	if !message.ValidName(name) {
		return "", errors.New("issue session: invalid name")
	}
	if group != "" && !message.ValidName(group) {
		return "", errors.New("issue session: invalid group")
	}
	var payload bytes.Buffer
	encoder := json.NewEncoder(&payload)
	// The default escapes of <, > and & would make a session of a long name
	// exceed maxSessionBytes.
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(claims{name, group, a.now().Unix()}); err != nil {
		return "", fmt.Errorf("issue session: %w", err)
	}
	signed := sessionHeader + "." + base64.RawURLEncoding.EncodeToString(bytes.TrimSuffix(payload.Bytes(), []byte("\n")))
	signature, err := jwt.SigningMethodHS256.Sign(signed, in.key)
	if err != nil {
		return "", fmt.Errorf("issue session: %w", err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// Verify reads a session that Issue made. Any other string gives ErrSession, an
// old session ErrExpired. A session from the future is good: clocks are set
// back, and only this relay can have made it.
func (a *Authority) Verify(session string) (Session, error) {
	if len(session) > maxSessionBytes || !strings.HasPrefix(session, sessionHeader+".") {
		return Session{}, ErrSession
	}
	dot := strings.LastIndexByte(session, '.')
	if dot <= len(sessionHeader) {
		return Session{}, ErrSession
	}
	signed, encodedSignature := session[:dot], session[dot+1:]
	encoding := base64.RawURLEncoding.Strict()
	signature, err := encoding.DecodeString(encodedSignature)
	if err != nil || hasLineBreak(encodedSignature) {
		return Session{}, ErrSession
	}
	rule := a.rule.Load()
	if jwt.SigningMethodHS256.Verify(signed, signature, rule.key) != nil {
		return Session{}, ErrSession
	}
	// From here on the bytes are our own.
	payload, err := encoding.DecodeString(signed[len(sessionHeader)+1:])
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
	return Session{Name: c.Name, Group: c.Group, IssuedAt: issued}, nil
}

// hasLineBreak finds what the base64 decoder skips silently, so that one
// session has one spelling.
func hasLineBreak(s string) bool { return strings.ContainsAny(s, "\r\n") }
