package config

import (
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
)

// Secret is a text that no log, message or marshaller shows by accident.
type Secret string

const redacted = "[redacted]"

// Reveal returns the text itself.
func (s Secret) Reveal() string { return string(s) }

// String hides the text.
func (Secret) String() string { return redacted }

// GoString hides the text.
func (Secret) GoString() string { return redacted }

// Format hides the text from every verb of fmt, also from those that do not ask
// for a string.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue hides the text from slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the text from encoding/json and its like.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Guessable tells whether a text is empty or one that anybody would try, and so
// no secret.
func Guessable(text string) bool { return isWeak(text) }

// isWeak knows the tokens that an attacker tries first.
func isWeak(token string) bool {
	return slices.Contains(weakTokens(), strings.ToLower(strings.TrimSpace(token)))
}

func weakTokens() []string {
	return []string{
		"", "test", "change-me", "changeme", "change_me", "token", "your-token", "mpush", "password",
		"passwd", "secret", "admin", "root", "default", "example", "demo", "1234", "12345", "123456",
		"1234567", "12345678", "123456789", "1234567890", "000000", "111111", "abc123", "qwerty",
	}
}

// Sum is the SHA-256 of a token. It is not shown either: a token that is easily
// guessed is easily found by it.
type Sum [sha256.Size]byte

// Format hides the sum from every verb of fmt.
func (Sum) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue hides the sum from slog.
func (Sum) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the sum from encoding/json and its like.
func (Sum) MarshalText() ([]byte, error) { return []byte(redacted), nil }
