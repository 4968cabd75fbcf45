package supervisor

import (
	"bytes"
	"sync"
)

// lineWriter cuts a stream of bytes into lines of bounded length. It takes
// whatever is written and holds one line at most. It may be used from any
// goroutine.
type lineWriter struct {
	limit int // bytes kept of a line
	// emit gets each line without its end, and how many bytes were cut off.
	// The slice is valid during the call.
	emit func(line []byte, cut int)

	mu   sync.Mutex
	line []byte
	cut  int
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for rest := p; len(rest) > 0; {
		part, after, ended := bytes.Cut(rest, []byte{'\n'})
		keep := min(len(part), w.limit-len(w.line))
		w.line = append(w.line, part[:keep]...)
		w.cut += len(part) - keep
		if ended {
			w.flush()
		}
		rest = after
	}
	return len(p), nil
}

// finish emits a last line that has no end.
func (w *lineWriter) finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.line) > 0 {
		w.flush()
	}
}

func (w *lineWriter) flush() {
	w.emit(bytes.TrimSuffix(w.line, []byte{'\r'}), w.cut)
	w.line, w.cut = w.line[:0], 0
}
