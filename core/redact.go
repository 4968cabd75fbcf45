package core

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"mpush/core/config"
)

const (
	redacted = "[redacted]"
	// leastSecret: a shorter one, in bytes, would be found in words that it has
	// nothing to do with.
	leastSecret = 4
	// mostSecrets are kept; with more of them the oldest go.
	mostSecrets = 10_000
)

// secrets are the values that no log and no message shows: those that the
// channels' schemas mark as such, also those of a former configuration, which a
// plugin may still speak of. The zero value knows none.
type secrets struct {
	mu       sync.Mutex
	known    []string
	replacer atomic.Pointer[strings.Replacer]
}

// add hides further values, as they are and as they stand in JSON, in Go's
// quotes, in urls and, if there are several, on their lines.
func (s *secrets) add(values []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen, before := make(map[string]bool), len(s.known)
	for _, value := range s.known {
		seen[value] = true
	}
	for _, value := range values {
		if len(value) >= leastSecret && !config.Guessable(value) && !seen[value] {
			s.known = append(s.known, value)
		}
	}
	if len(s.known) == before {
		return
	}
	s.known = s.known[max(0, len(s.known)-mostSecrets):]
	var forms []string
	for _, value := range s.known {
		encoded, _ := json.Marshal(value) // a text
		for _, quoted := range []string{string(encoded), strconv.Quote(value)} {
			forms = append(forms, quoted[1:len(quoted)-1])
		}
		forms = append(forms, value, url.QueryEscape(value), url.PathEscape(value))
		forms = append(forms, linesOf(value)...)
	}
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) }) // one may contain another
	var pairs []string
	for _, form := range slices.Compact(forms) {
		pairs = append(pairs, form, redacted)
	}
	s.replacer.Store(strings.NewReplacer(pairs...))
}

// linesOf are the lines of a key, say, that is printed line by line.
func linesOf(value string) (lines []string) {
	const least = 8 // bytes, else as with leastSecret
	if !strings.Contains(value, "\n") {
		return nil
	}
	for line := range strings.Lines(value) {
		if line = strings.TrimSpace(line); len(line) >= least {
			lines = append(lines, line)
		}
	}
	return lines
}

// hide replaces what is secret in a text.
func (s *secrets) hide(text string) string {
	if replacer := s.replacer.Load(); replacer != nil {
		return replacer.Replace(text)
	}
	return text
}

// logger is log without secrets.
func (s *secrets) logger(log *slog.Logger) *slog.Logger {
	return slog.New(&redactor{log.Handler(), s})
}

// redactor hides secrets from a log.
type redactor struct {
	slog.Handler
	secrets *secrets
}

// Handle writes a record.
func (r *redactor) Handle(ctx context.Context, record slog.Record) error {
	if r.secrets.replacer.Load() == nil {
		return r.Handler.Handle(ctx, record)
	}
	clean := slog.NewRecord(record.Time, record.Level, r.secrets.hide(record.Message), record.PC)
	record.Attrs(func(attr slog.Attr) bool {
		clean.AddAttrs(r.attr(attr))
		return true
	})
	return r.Handler.Handle(ctx, clean)
}

// WithAttrs returns a handler that adds attributes.
func (r *redactor) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, attr := range attrs {
		clean[i] = r.attr(attr)
	}
	return &redactor{r.Handler.WithAttrs(clean), r.secrets}
}

// WithGroup returns a handler that puts what follows into a group.
func (r *redactor) WithGroup(name string) slog.Handler {
	return &redactor{r.Handler.WithGroup(name), r.secrets}
}

func (r *redactor) attr(attr slog.Attr) slog.Attr {
	value := attr.Value.Resolve()
	switch value.Kind() {
	case slog.KindString:
		value = slog.StringValue(r.secrets.hide(value.String()))
	case slog.KindGroup:
		members := slices.Clone(value.Group())
		for i, member := range members {
			members[i] = r.attr(member)
		}
		value = slog.GroupValue(members...)
	case slog.KindAny:
		value = r.any(value)
	case slog.KindInt64, slog.KindUint64, slog.KindFloat64:
		if text := value.String(); r.secrets.hide(text) != text {
			value = slog.StringValue(redacted)
		}
	}
	return slog.Attr{Key: r.secrets.hide(attr.Key), Value: value}
}

// any leaves a value as it is unless there is a secret in it.
func (r *redactor) any(value slog.Value) slog.Value {
	var text string
	switch v := value.Any().(type) {
	case json.RawMessage:
		text = string(v)
	default:
		text = fmt.Sprintf("%+v", v)
	}
	if clean := r.secrets.hide(text); clean != text {
		return slog.StringValue(clean)
	}
	return value
}
