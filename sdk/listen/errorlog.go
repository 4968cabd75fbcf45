package listen

import (
	"bytes"
	"log"
	"log/slog"
	"sync"
	"time"
)

// ErrorLog is for the ErrorLog of an [net/http.Server]. What a client has done
// wrong is not worth a line. That a connection could not be accepted, as without a
// free descriptor, and that a handler panicked is logged as an error, each at most
// once in ten seconds.
func ErrorLog() *log.Logger { return log.New(new(serverFaults), "", 0) }

const faultEvery = 10 * time.Second

// serverFaults takes the lines of a server.
type serverFaults struct {
	mu   sync.Mutex
	said [len(faults)]time.Time
}

// faults are how the lines begin that are logged.
var faults = [...]string{"http: Accept error: ", "http: panic serving "}

func (f *serverFaults) Write(line []byte) (int, error) {
	for i, fault := range faults {
		if bytes.HasPrefix(line, []byte(fault)) && f.due(i) {
			slog.Error("the listener's server", "err", string(bytes.TrimSpace(line)))
		}
	}
	return len(line), nil
}

func (f *serverFaults) due(fault int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if !f.said[fault].IsZero() && now.Sub(f.said[fault]) < faultEvery {
		return false
	}
	f.said[fault] = now
	return true
}
