package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// A burst of events is over when nothing has come for settleTime, and at the
// latest after settleMost: editors and deployments write in several steps.
const (
	settleTime = 100 * time.Millisecond
	settleMost = time.Second
)

// Watcher tells when a file that the configuration was read from has changed.
// Pass it to Load, each time: it then watches what was read, the files of
// ${file:…} included, also if that failed. It watches their directories and
// those of links on the way, so that a file that is replaced, or missing, is seen
// when it is there.
type Watcher struct {
	events  *fsnotify.Watcher
	changes chan struct{}
	look    chan struct{} // asks for a comparison
	done    chan struct{}

	mu        sync.Mutex
	files     inputs
	trail     trail  // to files
	unwatched string // of it, and why: as told last
}

// NewWatcher returns a Watcher that watches nothing yet. Close it.
func NewWatcher() (*Watcher, error) {
	events, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch the configuration: %w", err)
	}
	w := &Watcher{
		events: events, changes: make(chan struct{}, 1),
		look: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go w.run()
	return w, nil
}

// Changes has an entry when a file has another content than what was read or
// told of last. Several changes may be one entry.
func (w *Watcher) Changes() <-chan struct{} { return w.changes }

// Close ends watching and waits for its goroutine. Changes stays open.
func (w *Watcher) Close() error {
	err := w.events.Close()
	<-w.done
	return err
}

func (w *Watcher) run() {
	defer close(w.done)
	settled := time.NewTimer(time.Hour)
	settled.Stop()
	defer settled.Stop()
	var began time.Time // of a burst; zero between them
	for {
		select {
		case event, open := <-w.events.Events:
			if !open {
				return
			}
			if !w.concerns(event) {
				continue
			}
		case _, open := <-w.events.Errors: // events were lost
			if !open {
				return
			}
		case <-w.look:
		case <-settled.C:
			began = time.Time{}
			w.compare()
			continue
		}
		if began.IsZero() {
			began = time.Now()
		}
		settled.Reset(max(0, min(settleTime, settleMost-time.Since(began))))
	}
}

// concerns tells whether an event is about one of the files or a step on the way
// to it. The directories may be busy with others.
func (w *Watcher) concerns(event fsnotify.Event) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.trail.names[event.Name]
}

// compare looks at all files and tells of a change once. That something can not be
// watched any more is told like one: Load says what and why.
func (w *Watcher) compare() {
	w.mu.Lock()
	changed := false
	for path, before := range w.files {
		if now := fingerprint(path); now != before {
			w.files[path] = now
			changed = true
		}
	}
	before := w.unwatched
	more, err := w.watch()
	changed = changed || err != nil && w.unwatched != before
	w.mu.Unlock()
	if more {
		notify(w.look) // as in follow
	}
	if changed {
		notify(w.changes)
	}
}

func notify(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// follow watches these files from now on, and no others.
func (w *Watcher) follow(files inputs) error {
	w.mu.Lock()
	w.files = files
	more, err := w.watch()
	w.mu.Unlock()
	if more {
		notify(w.look) // it may have changed between being read and being watched
	}
	return err
}

// follows tells whether something was read with it before. It may be nil.
func (w *Watcher) follows() bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.files != nil
}

// watch has the directories on the trail watched, and no others. It tells whether
// some are new. Call with mu held.
func (w *Watcher) watch() (more bool, err error) {
	w.trail = trail{make(map[string]bool), make(map[string]bool)}
	for path := range w.files {
		w.trail.follow(path)
	}
	watched := w.events.WatchList()
	for _, dir := range watched {
		if !w.trail.dirs[dir] {
			_ = w.events.Remove(dir) // it may be gone
		}
	}
	var errs []error
	for _, dir := range slices.Sorted(maps.Keys(w.trail.dirs)) {
		if slices.Contains(watched, dir) {
			continue
		}
		switch err := w.events.Add(dir); {
		case err == nil, errors.Is(err, fs.ErrNotExist): // gone since: the trail is another one now
			more = true
		default:
			errs = append(errs, fmt.Errorf("%s: %w", dir, err))
		}
	}
	w.unwatched = ""
	if err = errors.Join(errs...); err != nil {
		w.unwatched = err.Error()
	}
	return more, err
}

// inputs are the files that a configuration was read from, by absolute path, with
// what they held; of pipes, those that were refused. A nil map notes nothing.
type inputs map[string][sha256.Size]byte

// note remembers a file as it is read: nil if it can not be, or is none.
func (in inputs) note(path string, content []byte) {
	if in == nil {
		return
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return
	}
	// To read a pipe again would wait, and take what others wait for.
	if info, err := os.Stat(absolute); content != nil && err == nil && !info.Mode().IsRegular() {
		return
	}
	in[absolute] = digest(content)
}

// digest is zero for a file that can not be read.
func digest(content []byte) (sum [sha256.Size]byte) {
	if content != nil {
		sum = sha256.Sum256(content)
	}
	return sum
}

// fingerprint is the digest of a file as it is now.
func fingerprint(path string) (sum [sha256.Size]byte) {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return sum
	}
	content, err := readFile(path)
	if err != nil {
		return sum
	}
	return digest(content)
}
