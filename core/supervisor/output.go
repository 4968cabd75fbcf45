package supervisor

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	maxLineBytes = 8 << 10 // kept of a line of output
	// What may be logged of a plugin's output: so much at once, and then so
	// much a second, in bytes. A line counts lineCost besides its own.
	outputBurst  = 256 << 10
	outputRate   = 64 << 10
	lineCost     = 100
	tailBytes    = 300 // of the last line, for the reason of a death
	dropInterval = 10 * time.Second
)

// output logs what one process writes, on all its streams together.
type output struct {
	log    *slog.Logger
	redact func(string) string // before a cut, which could leave a part of a secret

	mu       sync.Mutex
	budget   float64 // bytes that may be logged now
	filled   time.Time
	lost     int // lines not logged and not yet reported
	lostSize int // their bytes
	losing   bool
	told     time.Time // when losses were spoken of last
	tail     string    // the last line that was text, before a Go stack trace
	crashed  bool      // the stack trace has begun
}

func newOutput(log *slog.Logger, redact func(string) string) *output {
	return &output{log: log, redact: redact, budget: outputBurst, filled: time.Now()}
}

// stream returns a writer for one of the process's streams.
func (o *output) stream(name string) *lineWriter {
	return &lineWriter{limit: maxLineBytes, emit: func(line []byte, cut int) { o.line(name, line, cut) }}
}

// line logs one line, or counts it if the plugin writes too much.
func (o *output) line(stream string, line []byte, cut int) {
	if len(line) == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	o.budget = min(outputBurst, o.budget+now.Sub(o.filled).Seconds()*outputRate)
	o.filled = now
	if o.budget < float64(len(line)+lineCost) {
		o.lose(now, len(line)+cut)
		return
	}
	if o.losing && o.budget >= outputRate { // else it is a gap in the flood
		o.losing = false
		o.reportLoss(now)
	}
	o.budget -= float64(len(line) + lineCost)
	o.relog(stream, line, cut)
}

// lose counts a line and says now and then that it does.
func (o *output) lose(now time.Time, size int) {
	o.lost++
	o.lostSize += size
	began := !o.losing
	o.losing = true
	switch {
	case !o.told.IsZero() && now.Sub(o.told) < dropInterval:
	case began:
		o.told = now
		o.log.Warn("plugin writes too much, output is dropped")
	default:
		o.reportLoss(now)
	}
}

func (o *output) reportLoss(now time.Time) {
	if o.lost == 0 {
		return
	}
	o.log.Warn("plugin output was dropped", "lines", o.lost, "bytes", o.lostSize)
	o.lost, o.lostSize, o.told = 0, 0, now
}

// finish reports what was lost last. Nothing is written after it.
func (o *output) finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reportLoss(time.Now())
}

// lastLine is the last text that the process wrote, or why it panicked;
// shortened.
func (o *output) lastLine() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.tail
}

// relog logs a line as what it is: a record of log/slog, or text.
func (o *output) relog(stream string, line []byte, cut int) {
	if cut == 0 {
		if record, ok := parseRecord(line); ok {
			o.log.LogAttrs(context.Background(), record.level, record.message, record.attrs...)
			return
		}
	}
	text := strings.ToValidUTF8(string(line), "\uFFFD")
	if !o.crashed {
		tail := o.redact(text)
		o.tail = strings.ToValidUTF8(tail[:min(len(tail), tailBytes)], "")
		o.crashed = strings.HasPrefix(text, "panic: ") || strings.HasPrefix(text, "fatal error: ")
	}
	attrs := []slog.Attr{slog.String("stream", stream), slog.String("text", text)}
	if cut > 0 {
		attrs = append(attrs, slog.Int("cut_bytes", cut))
	}
	o.log.LogAttrs(context.Background(), slog.LevelInfo, "plugin output", attrs...)
}

// logRecord is a line that log/slog's JSON handler wrote.
type logRecord struct {
	level   slog.Level
	message string
	attrs   []slog.Attr
}

// parseRecord reads a line of log/slog's JSON. Its time is dropped, and so are
// fields that say whose record it is: that is the supervisor's to say.
func parseRecord(line []byte) (logRecord, bool) {
	var r logRecord
	if line[0] != '{' {
		return r, false
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(line, &fields) != nil {
		return r, false
	}
	var level string
	if json.Unmarshal(fields[slog.LevelKey], &level) != nil || r.level.UnmarshalText([]byte(level)) != nil {
		return r, false
	}
	if json.Unmarshal(fields[slog.MessageKey], &r.message) != nil {
		return r, false
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		switch key {
		case slog.TimeKey, slog.LevelKey, slog.MessageKey, "channel", "pid":
		default:
			r.attrs = append(r.attrs, slog.Any(key, fieldValue(fields[key])))
		}
	}
	return r, true
}

// fieldValue makes of a field what any log handler shows well.
func fieldValue(raw json.RawMessage) any {
	switch raw[0] {
	case '"':
		var text string
		if json.Unmarshal(raw, &text) == nil {
			return text
		}
	case 't', 'f':
		return raw[0] == 't'
	case '{', '[':
	default: // a number keeps its digits
		return json.Number(raw)
	}
	return raw
}
