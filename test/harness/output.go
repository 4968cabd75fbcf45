package harness

import (
	"sync"
	"time"
)

// output is what a process has printed so far. Safe for concurrent use.
type output struct {
	mu    sync.Mutex
	text  []byte
	grown chan struct{} // closed at the next write
}

func newOutput() *output { return &output{grown: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	close(o.grown)
	o.grown = make(chan struct{})
	return len(p), nil
}

func (o *output) String() string {
	text, _ := o.look()
	return text
}

// look returns the text and what is closed when there is more.
func (o *output) look() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text), o.grown
}

// until waits for the condition to hold for the text, and tells whether it does
// before the process has ended and Patience is over.
func (o *output) until(condition func(text string) bool, ended <-chan struct{}) bool {
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	for {
		text, grown := o.look()
		if condition(text) {
			return true
		}
		select {
		case <-grown:
		case <-ended:
			return condition(o.String())
		case <-timer.C:
			return false
		}
	}
}
