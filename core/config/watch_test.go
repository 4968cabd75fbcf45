package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watched is a configuration that is loaded with a Watcher.
type watched struct {
	t       *testing.T
	dir     string
	config  string // the file, in dir
	watcher *Watcher
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	watcher, err := NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := watcher.Close(); err != nil {
			t.Error(err)
		}
	})
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &watched{t, dir, "config.json", watcher}
}

func (w *watched) path(name string) string { return filepath.Join(w.dir, name) }

// write makes a file in one step, so that it is one change.
func (w *watched) write(name, text string) {
	w.t.Helper()
	w.must(os.WriteFile(w.path(name)+".new", []byte(text), 0o600))
	w.must(os.Rename(w.path(name)+".new", w.path(name)))
}

func (w *watched) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *watched) load() (*Config, error) {
	return Load(Options{Path: w.path(w.config), PathExplicit: true, Watcher: w.watcher})
}

// loads loads what must be right, and checks the token.
func (w *watched) loads(token string) {
	w.t.Helper()
	c, err := w.load()
	w.must(err)
	if c.Token.Reveal() != token {
		w.t.Fatalf("token %q, expected %q", c.Token.Reveal(), token)
	}
}

// fails loads what must be wrong, and returns why it is.
func (w *watched) fails() error {
	w.t.Helper()
	_, err := w.load()
	if err == nil {
		w.t.Fatal("it loads")
	}
	return err
}

// link has a name be a link to a target, in one step.
func (w *watched) link(target, name string) {
	w.t.Helper()
	w.must(os.Symlink(target, w.path(name)+".new"))
	w.must(os.Rename(w.path(name)+".new", w.path(name)))
}

func (w *watched) changes() {
	w.t.Helper()
	select {
	case <-w.watcher.Changes():
	case <-time.After(30 * time.Second):
		w.t.Fatal("the change was not noticed")
	}
}

// watches waits until these directories are watched, and no others.
func (w *watched) watches(dirs ...string) {
	w.t.Helper()
	for i, dir := range dirs {
		dirs[i] = w.path(dir)
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		watches := slices.Sorted(slices.Values(w.watcher.events.WatchList()))
		if slices.Equal(watches, dirs) {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("watched are %q, expected %q", watches, dirs)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestEveryWayToChangeAFileIsNoticed(t *testing.T) {
	const first, second = `{"token": "first"}`, `{"token": "second"}`
	for name, test := range map[string]func(w *watched){
		"written in place": func(w *watched) {
			w.must(os.WriteFile(w.path("config.json"), []byte(second), 0o600))
		},
		"renamed over, as editors do": func(w *watched) {
			w.write(".config.json.swp", second)
			w.must(os.Rename(w.path(".config.json.swp"), w.path("config.json")))
		},
		"moved away and made anew": func(w *watched) {
			w.must(os.Rename(w.path("config.json"), w.path("config.json~")))
			w.changes()
			w.fails()
			w.write("config.json", second)
		},
		"changed after a bad one": func(w *watched) {
			w.write("config.json", `{"token": `)
			w.changes()
			w.fails()
			w.write("config.json", second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatched(t)
			w.write("config.json", first)
			w.loads("first")
			test(w)
			w.changes()
			w.loads("second")
		})
	}
}

func TestIncludedFilesAreWatched(t *testing.T) {
	w := newWatched(t)
	w.must(os.Mkdir(w.path("secrets"), 0o700))
	w.write("config.json", `{"token": "${file:secrets/token}"}`)
	w.fails() // it is not there yet
	w.write("secrets/token", "first\n")
	w.changes()
	w.loads("first")
	w.write("secrets/token", "second\n")
	w.changes()
	w.loads("second")
}

func TestPipeInTheWayIsRefusedUntilThereIsAFileAgain(t *testing.T) {
	for _, name := range []string{"config.json", "token"} {
		t.Run(name, func(t *testing.T) {
			w := newWatched(t)
			text := map[string]string{"config.json": `{"token": "${file:token}"}`, "token": "first"}
			w.write("token", text["token"])
			w.write("config.json", text["config.json"])
			w.loads("first")
			w.must(syscall.Mkfifo(w.path("pipe"), 0o600))
			w.must(os.Rename(w.path("pipe"), w.path(name)))
			w.changes()
			w.fails()
			w.write(name, text[name])
			w.changes()
			w.loads("first")
		})
	}
}

// Kubernetes mounts a file as a link through a link to a directory, which it
// replaces.
func TestReplacedLinkOnTheWayIsNoticed(t *testing.T) {
	w := newWatched(t)
	for _, word := range []string{"first", "second"} {
		w.must(os.Mkdir(w.path("data-"+word), 0o700))
		w.write("data-"+word+"/config.json", `{"token": "`+word+`"}`)
	}
	w.must(os.Symlink("data-first", w.path("data")))
	w.must(os.Symlink("data/config.json", w.path("config.json")))
	w.loads("first")
	w.link("data-second", "data")
	w.changes()
	w.loads("second")
	w.write("data-second/config.json", `{"token": "third"}`)
	w.changes()
	w.loads("third")
}

// A deployment makes a directory of its own and has a link name it.
func TestReplacedLinkToADirectoryIsNoticed(t *testing.T) {
	for name, test := range map[string]struct {
		config, file, first, second string
		watches                     []string
	}{
		"of the configuration": {"current/config.json", "config.json", `{"token": "first"}`, `{"token": "second"}`, []string{"", "releases/1"}},
		"of what it includes":  {"etc/config.json", "token", "first", "second", []string{"", "etc", "releases/1"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatched(t)
			w.config = test.config
			for _, dir := range []string{"etc", "releases", "releases/1", "releases/2"} {
				w.must(os.Mkdir(w.path(dir), 0o700))
			}
			w.write("etc/config.json", `{"token": "${file:../current/token}"}`)
			w.write("releases/1/"+test.file, test.first)
			w.write("releases/2/"+test.file, test.second)
			w.link("releases/1", "stable")
			w.link(w.path("stable"), "current")
			w.loads("first")
			w.link("releases/2", "stable")
			w.changes()
			w.loads("second")
			w.link("./releases/../releases/1/", "current")
			w.changes()
			w.loads("first")
			w.write("releases/1/"+test.file, test.second)
			w.changes()
			w.loads("second")
			w.must(os.Remove(w.path("current")))
			w.changes()
			w.fails()
			w.link("releases/1", "current")
			w.changes()
			w.loads("second")
			w.watches(test.watches...)
		})
	}
}

func TestDirectoryThatComesBackIsFollowed(t *testing.T) {
	for name, test := range map[string]func(w *watched){
		"removed": func(w *watched) {
			w.must(os.RemoveAll(w.path("etc/mpush")))
			w.changes()
			w.watches("etc")
		},
		"removed, and looked for": func(w *watched) {
			w.must(os.RemoveAll(w.path("etc/mpush")))
			w.changes()
			w.fails()
			w.watches("etc")
		},
		"removed with the one above": func(w *watched) {
			w.must(os.RemoveAll(w.path("etc")))
			w.changes()
			w.fails()
			w.watches("")
		},
		"moved away": func(w *watched) {
			w.must(os.Rename(w.path("etc/mpush"), w.path("mpush.old")))
			w.changes()
			w.fails()
			w.watches("etc")
		},
		"a file in its place": func(w *watched) {
			w.must(os.RemoveAll(w.path("etc")))
			w.write("etc", "")
			w.changes()
			w.fails()
			w.watches("")
			w.must(os.Remove(w.path("etc")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatched(t)
			w.config = "etc/mpush/config.json"
			w.must(os.MkdirAll(w.path("etc/mpush"), 0o700))
			w.write(w.config, `{"token": "first"}`)
			w.loads("first")
			test(w)
			w.must(os.MkdirAll(w.path("etc/mpush"), 0o700))
			w.write(w.config, `{"token": "second"}`)
			w.changes()
			w.loads("second")
			w.watches("etc/mpush")
			w.write(w.config, `{"token": "third"}`)
			w.changes()
			w.loads("third")
		})
	}
}

func TestLinksInACircleHaveAnEnd(t *testing.T) {
	w := newWatched(t)
	w.link("b", "a")
	w.link("a", "b")
	w.config = "a/config.json"
	w.fails()
	w.must(os.Mkdir(w.path("c"), 0o700))
	w.write("c/config.json", `{"token": "first"}`)
	w.link("c", "b")
	w.changes()
	w.loads("first")
}

func TestWhatCanNotBeWatchedIsTold(t *testing.T) {
	const says = "changes are not noticed by themselves: watch "
	w := newWatched(t)
	w.write("config.json", `{"token": "first"}`)
	w.loads("first")
	w.must(w.watcher.events.Close()) // from now on nothing can be
	w.watcher.compare()
	w.changes() // whoever loads it is told
	if c, err := w.load(); err != nil || len(c.Warnings) != 1 || !strings.HasPrefix(c.Warnings[0], says+w.dir+": ") {
		t.Errorf("warnings %q, %v", c.Warnings, err)
	}
	w.watcher.compare()
	if len(w.watcher.Changes()) > 0 {
		t.Error("it is told twice")
	}
	w.write("config.json", `{"tokn": "a", "limit": 1}`)
	joined, ok := w.fails().(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 3 || !strings.HasPrefix(joined.Unwrap()[2].Error(), says+w.dir+": ") {
		t.Errorf("not told with what is wrong: %v", joined)
	}
	w.must(os.Remove(w.path("config.json")))
	if err := w.fails(); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), says) {
		t.Errorf("without a file: %v", err)
	}
}

func TestWhoCanNotStartIsNotToldOfWatches(t *testing.T) {
	w := newWatched(t)
	w.must(w.watcher.events.Close())
	if err := w.fails(); strings.Contains(err.Error(), "watch") {
		t.Error(err)
	}
}

func TestOnlyAnotherContentIsAChange(t *testing.T) {
	w := newWatched(t)
	w.write("config.json", `{"token": "first"}`)
	w.loads("first")
	now := time.Now()
	w.must(os.Chtimes(w.path("config.json"), now, now))
	w.watcher.compare()
	if len(w.watcher.Changes()) > 0 {
		t.Error("a touched file counts as changed")
	}
	for event, want := range map[fsnotify.Event]bool{
		{Name: w.path("config.json"), Op: fsnotify.Write}:   true,
		{Name: w.path("config.json"), Op: fsnotify.Chmod}:   true,
		{Name: w.path("config.json"), Op: fsnotify.Create}:  true,
		{Name: w.path("mpush.db-wal"), Op: fsnotify.Create}: false,
		{Name: w.path("mpush.db-wal"), Op: fsnotify.Write}:  false,
		{Name: w.path("mpush.db-wal"), Op: fsnotify.Chmod}:  false,
	} {
		if got := w.watcher.concerns(event); got != want {
			t.Errorf("%v concerns it: %v", event, got)
		}
	}
}

func TestChangeIsToldOnce(t *testing.T) {
	w := newWatched(t)
	w.write("config.json", `{"token": "first"}`)
	w.loads("first")
	w.write("config.json", `{"token": "second"}`)
	w.changes()
	w.watcher.compare()
	if len(w.watcher.Changes()) > 0 {
		t.Error("one change is told twice")
	}
}

func TestWatchesEndWithTheirFiles(t *testing.T) {
	w := newWatched(t)
	for _, name := range []string{"a", "b"} {
		w.must(os.Mkdir(w.path(name), 0o700))
		w.write(name+"/token", name)
		w.write("config.json", `{"token": "${file:`+name+`/token}"}`)
		w.loads(name)
	}
	watches := w.watcher.events.WatchList()
	if len(watches) != 2 || strings.Contains(strings.Join(watches, " "), w.path("a")) {
		t.Errorf("watched are %q", watches)
	}
}

func TestDifferencesAreNamesOfTheRelaysOwnKeys(t *testing.T) {
	a, err := loadText(t, `{"token": "a", "limits": {"ttl": "1h", "queueLength": 5}, "trustedProxies": ["10.0.0.0/8"], "http": {"port": 1}}`)
	if err != nil {
		t.Fatal(err)
	}
	b, err := loadText(t, `{"token": "b", "limits": {"ttl": "60m", "queueLength": 6}, "trustedProxies": ["10.0.0.0/8"], "http": {"port": 2}, "log": {"level": "debug"}}`)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(a.Differences(b), " "); got != "limits.queueLength log.level token" {
		t.Errorf("differences: %s", got)
	}
	if got := a.Differences(a); len(got) > 0 {
		t.Errorf("it differs from itself by %s", got)
	}
}
