package supervisor

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// journal keeps log records as "LEVEL message key=value …".
type journal struct {
	state *journalState
	attrs []slog.Attr
}

type journalState struct {
	mu    sync.Mutex
	lines []string
	bytes int
	more  chan struct{} // closed and replaced with each record
}

func newJournal() *journal {
	return &journal{state: &journalState{more: make(chan struct{})}}
}

func (j *journal) Enabled(context.Context, slog.Level) bool { return true }

func (j *journal) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %s", r.Level, r.Message)
	note := func(a slog.Attr) bool {
		if raw, ok := a.Value.Any().(json.RawMessage); ok {
			a.Value = slog.StringValue(string(raw))
		}
		fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
		return true
	}
	for _, a := range j.attrs {
		note(a)
	}
	r.Attrs(note)
	s := j.state
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, b.String())
	s.bytes += b.Len()
	close(s.more)
	s.more = make(chan struct{})
	return nil
}

func (j *journal) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &journal{state: j.state, attrs: append(append([]slog.Attr{}, j.attrs...), attrs...)}
}

func (j *journal) WithGroup(string) slog.Handler { return j }

// find returns the first line that has all the parts, "" if there is none, and
// a channel that is closed with the next record.
func (j *journal) find(parts ...string) (string, chan struct{}) {
	s := j.state
	s.mu.Lock()
	defer s.mu.Unlock()
lines:
	for _, line := range s.lines {
		for _, part := range parts {
			if !strings.Contains(line, part) {
				continue lines
			}
		}
		return line, nil
	}
	return "", s.more
}

// await waits for a line that has all the parts.
func (j *journal) await(t *testing.T, parts ...string) string {
	t.Helper()
	timeout := time.After(patience)
	for {
		line, more := j.find(parts...)
		if line != "" {
			return line
		}
		select {
		case <-more:
		case <-timeout:
			t.Fatalf("nothing was logged like %q:\n%s", parts, j)
		}
	}
}

func (j *journal) size() int {
	j.state.mu.Lock()
	defer j.state.mu.Unlock()
	return j.state.bytes
}

// String is the journal, each line shortened.
func (j *journal) String() string {
	j.state.mu.Lock()
	defer j.state.mu.Unlock()
	var b strings.Builder
	for _, line := range j.state.lines[:min(len(j.state.lines), 100)] {
		fmt.Fprintln(&b, line[:min(len(line), 300)])
	}
	return b.String()
}
