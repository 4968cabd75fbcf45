package config

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Token is one of those beside the single one.
type Token struct {
	Name   string
	Sum    Sum      // of its value
	Rights []string // MaySend and so on, at least one
	// Receivers are whom it may be, and which groups it may join; nil: anybody in
	// any group. Targets are whom it may send to; nil: everybody.
	Receivers, Targets *Scope
	Expires            time.Time // zero: never
	Weak               bool      // anybody would guess it
}

// The rights that a token may have.
const (
	MaySend    = "send"
	MayReceive = "receive"
	MayAdmin   = "admin"
)

// TokenRights are all of them.
func TokenRights() []string { return []string{MaySend, MayReceive, MayAdmin} }

// mostTokens bounds what a token that is shown is compared with.
const mostTokens = 1000

// maxTokenName is how long the name of a token may be, in bytes.
const maxTokenName = 64

// tokenKeys are those of a token's entry.
func tokenKeys() []known {
	return []known{
		{"name", text}, {"sha256", text}, {"token", scalar}, {"rights", words}, {"names", words}, {"groups", words},
		{"targets", object}, {"expires", text},
	}
}

// IsTokenName tells whether a token may be called so.
func IsTokenName(name string) bool {
	return name != "" && len(name) <= maxTokenName && !strings.ContainsFunc(name, unicode.IsControl)
}

// readTokens reads the tokens beside the single one.
func (r *report) readTokens(list *node, path string) (value any, ok bool) {
	faults := len(r.faults)
	if len(list.elements) > mostTokens {
		r.fault(list.at, path, "there may be %d tokens, these are %d", mostTokens, len(list.elements))
		return nil, false
	}
	tokens := make([]Token, 0, len(list.elements))
	for i, entry := range list.elements {
		path := joinIndex(path, i)
		if entry.kind != '{' {
			r.fault(entry.at, path, "expected an object, found %s", entry.describe())
			continue
		}
		t := r.readToken(entry, path)
		if t.Name != "" && slices.ContainsFunc(tokens, func(other Token) bool { return other.Name == t.Name }) {
			r.fault(entry.get("name").at, joinKey(path, "name"), "another token has this name already: each needs its own")
		}
		tokens = append(tokens, t)
	}
	return tokens, len(r.faults) == faults
}

func (r *report) readToken(entry *node, path string) Token {
	var t Token
	var keys []string
	for _, k := range tokenKeys() {
		keys = append(keys, k.path)
	}
	for _, m := range entry.members {
		if !slices.Contains(keys, m.name) {
			r.fault(m.value.at, joinKey(path, m.name), "%s", UnknownKey(m.name, keys))
		}
	}
	if entry.get("name") == nil {
		r.fault(entry.at, path, "name is missing: what the token is called in refusals and commands")
	}
	r.take(entry, path, "name", text, func(v any) {
		if t.Name = v.(string); !IsTokenName(t.Name) {
			r.fault(entry.get("name").at, joinKey(path, "name"), "expected 1 to %d bytes without control characters", maxTokenName)
		}
	})
	r.tokenValue(&t, entry, path)
	r.tokenRights(&t, entry, path)
	if entry.get("names") != nil || entry.get("groups") != nil {
		t.Receivers = r.patterns(entry, path)
		if entry.get("names") == nil {
			t.Receivers.Names = []string{"*"}
		}
	}
	if targets := entry.get("targets"); targets != nil {
		t.Targets = r.scope(targets, joinKey(path, "targets"))
	}
	r.take(entry, path, "expires", text, func(v any) {
		var err error
		if t.Expires, err = time.Parse(time.RFC3339, v.(string)); err != nil {
			r.fault(entry.get("expires").at, joinKey(path, "expires"), `expected a time like "2099-01-31T00:00:00Z"`)
		}
	})
	return t
}

// tokenValue reads what the token is known by.
func (r *report) tokenValue(t *Token, entry *node, path string) {
	sum, plain := entry.get("sha256"), entry.get("token")
	switch {
	case sum == nil && plain == nil:
		r.fault(entry.at, path, `expected "sha256", of the token's value, or "token", the value itself; "mpush token new" makes an entry`)
	case sum != nil && plain != nil:
		r.fault(plain.at, joinKey(path, "token"), `contradicts "sha256": remove one of them`)
	case sum != nil:
		r.take(entry, path, "sha256", text, func(v any) {
			digits, err := hex.DecodeString(v.(string))
			if err != nil || len(digits) != len(t.Sum) {
				r.fault(sum.at, joinKey(path, "sha256"), "expected 64 hex digits")
			}
			copy(t.Sum[:], digits)
		})
		t.Weak = slices.ContainsFunc(weakTokens(), func(weak string) bool { return sha256.Sum256([]byte(weak)) == t.Sum })
	default:
		r.take(entry, path, "token", scalar, func(v any) {
			value := v.(string)
			if value == "" {
				r.fault(plain.at, joinKey(path, "token"), "is empty: expected a long random word")
			}
			t.Sum, t.Weak = sha256.Sum256([]byte(value)), isWeak(value)
		})
	}
}

func (r *report) tokenRights(t *Token, entry *node, path string) {
	wanted := "expected some of " + strings.Join(TokenRights(), ", ")
	if entry.get("rights") == nil {
		r.fault(entry.at, path, "rights are missing: %s", wanted)
	}
	r.take(entry, path, "rights", words, func(v any) {
		list, key := entry.get("rights"), joinKey(path, "rights")
		t.Rights = v.([]string)
		if len(t.Rights) == 0 {
			r.fault(list.at, key, "is empty: %s", wanted)
		}
		for i, right := range t.Rights {
			if !slices.Contains(TokenRights(), right) {
				r.fault(list.elements[i].at, joinIndex(key, i), "unknown right: %s", wanted)
			}
		}
	})
}

// tellApart demands that no two tokens have one value: it would not be known whose
// rights it has.
func (r *report) tellApart(c *Config, layers []layer) {
	var list *node
	for _, l := range layers {
		if n := l["tokens"]; n != nil {
			list = n
		}
	}
	if list == nil || len(list.elements) != len(c.Tokens) {
		return // what the last layer says is wrong, and was refused
	}
	single := sha256.Sum256([]byte(c.Token.Reveal()))
	for i, t := range c.Tokens {
		path := joinIndex("tokens", i)
		first := slices.IndexFunc(c.Tokens, func(other Token) bool { return other.Sum == t.Sum })
		switch {
		case t.Sum == Sum(single):
			r.fault(list.elements[i].at, path, `has the same value as "token", which may do everything`)
		case first < i:
			r.fault(list.elements[i].at, path, "has the same value as the token %q", c.Tokens[first].Name)
		}
	}
}
