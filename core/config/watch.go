package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
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
// ${file:…} included, also if that failed. It watches their directories, so
// that a file that is replaced, or missing, is seen when it is there.
type Watcher struct {
	events  *fsnotify.Watcher
	changes chan struct{}
	look    chan struct{} // asks for a comparison
	done    chan struct{}

	mu    sync.Mutex
	files inputs
	names map[string]bool // of files, and of what they are links to
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

// concerns tells whether an event may be about one of the files. What is merely
// written into is known by its name; a name that comes or goes may be any link
// on the way to a file.
func (w *Watcher) concerns(event fsnotify.Event) bool {
	if event.Has(fsnotify.Create) || event.Has(fsnotify.Remove) || event.Has(fsnotify.Rename) {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.names[event.Name]
}

// compare looks at all files and tells of a change once.
func (w *Watcher) compare() {
	w.mu.Lock()
	changed := false
	for path, before := range w.files {
		if now := fingerprint(path); now != before {
			w.files[path] = now
			changed = true
		}
	}
	_, _ = w.watch() // what could not be watched was told when it was read
	w.mu.Unlock()
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

// watch has the directories of all files watched, and no others. It tells
// whether some are new. Call with mu held.
func (w *Watcher) watch() (more bool, err error) {
	w.names = make(map[string]bool)
	dirs := make(map[string]bool)
	for path := range w.files {
		w.names[path], dirs[filepath.Dir(path)] = true, true
		if target, err := filepath.EvalSymlinks(path); err == nil {
			w.names[target], dirs[filepath.Dir(target)] = true, true
		}
	}
	watched := w.events.WatchList()
	for _, dir := range watched {
		if !dirs[dir] {
			_ = w.events.Remove(dir) // it may be gone
		}
	}
	var errs []error
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		if !slices.Contains(watched, dir) {
			more = true
			if err := w.events.Add(dir); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", dir, err))
			}
		}
	}
	return more, errors.Join(errs...)
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
