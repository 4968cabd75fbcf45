package core

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"mpush/core/config"
	"mpush/core/supervisor"
)

// serving is a core that runs until the test ends, with an ingress and what the
// test adds.
type serving struct {
	*Core
	t    *testing.T
	path string
	in   string // the ingress
	log  *journal
}

func serve(t *testing.T, more string) *serving {
	t.Helper()
	t.Setenv("GORACE", "atexit_sleep_ms=0") // else each process takes a second to end
	s := &serving{t: t, in: section(t, 0), log: &journal{}}
	o := options(t, s.text(5000, more), s.log)
	s.path = o.Config.Path
	c, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	s.Core = c
	if _, err := c.Reload(t.Context(), o.Config); err == nil {
		t.Error("it reloads before it runs")
	}
	ctx, cancel := context.WithCancel(context.Background())
	up, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- c.Run(ctx, func() {}, func([]supervisor.Status) { close(up) }) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, c.Close()); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-up:
	case err := <-ended:
		ended <- err
		t.Fatalf("the core did not start: %v", err)
	}
	return s
}

// text is a configuration with the ingress and more keys, each after a comma.
func (s *serving) text(wait int, more string) string {
	return fmt.Sprintf("{\n%q: {\"host\": \"127.0.0.1\", \"port\": 0, \"waitTimeout\": %d}%s}", s.in, wait, more)
}

// taking is the plugins section with the taker under these names.
func taking(names ...string) string {
	var entries []string
	for _, name := range names {
		entries = append(entries, fmt.Sprintf(`%q: {"path": %q, "args": ["channel", "out"], "env": ["GORACE"], "unpinned": true}`, name, os.Args[0]))
	}
	return `, "plugins": {` + strings.Join(entries, ", ") + `}`
}

func (s *serving) reload(wait int, more string) (*Changes, error) {
	s.t.Helper()
	changes, err := s.Reload(s.t.Context(), load(s.t, s.path, s.text(wait, more)))
	if err == nil {
		s.Await(s.t.Context(), changes)
	}
	return changes, err
}

// reloads reloads what must be right and checks what it says it has changed.
func (s *serving) reloads(wait int, more string, want Changes) {
	s.t.Helper()
	got, err := s.reload(wait, more)
	if err != nil {
		s.t.Fatal(err)
	}
	if fmt.Sprint(*got) != fmt.Sprint(want) {
		s.t.Fatalf("changes %+v, expected %+v", *got, want)
	}
}

func (s *serving) status(name string) supervisor.Status {
	for _, status := range s.supervisor.Status() {
		if status.Channel == name {
			return status
		}
	}
	return supervisor.Status{}
}

func (s *serving) pid(name string) int { return s.status(name).PID }

// send sends to the taker's receiver and returns the answer, which it waits for
// as it prefers.
func (s *serving) send(prefer ...string) string {
	s.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+s.status(s.in).Endpoints[0]+"/box.send?text=x", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header["Prefer"] = prefer
	reply, err := client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(body)
}

func TestReloadTouchesOnlyWhatHasChanged(t *testing.T) {
	s := serve(t, "")
	in := s.pid(s.in)
	s.reloads(5000, "", Changes{})
	s.reloads(5000, taking("taker"), Changes{Added: []string{"taker"}})
	if got := s.send(); !strings.Contains(got, `"box":"ok"`) {
		t.Errorf("answer %s", got)
	}
	taker := s.pid("taker")
	s.reloads(5000, taking("taker")+`, "log": {"level": "warn"}`, Changes{Settings: []string{"log.level"}})
	if s.pid(s.in) != in || s.pid("taker") != taker || in == 0 || taker == 0 {
		t.Errorf("untouched channels are other processes now: %+v", s.supervisor.Status())
	}
	s.reloads(6000, taking("taker"), Changes{Settings: []string{"log.level"}, Changed: []string{s.in}})
	if s.pid(s.in) == in || s.pid("taker") != taker {
		t.Errorf("after a change of one: %+v", s.supervisor.Status())
	}
	in = s.pid(s.in)
	// Its successor claims the same command and declares the same receiver.
	s.reloads(6000, taking("other"), Changes{Added: []string{"other"}, Removed: []string{"taker"}})
	if got := s.send(); !strings.Contains(got, `"box":"ok"`) || s.pid("taker") != 0 || s.pid(s.in) != in {
		t.Errorf("answer %s, channels %+v", got, s.supervisor.Status())
	}
	s.reloads(6000, "", Changes{Removed: []string{"other"}})
	if got := s.send("wait=0"); !strings.Contains(got, `"box":"ready"`) {
		t.Errorf("answer %s", got)
	}
}

func TestReloadWithAFaultChangesNothing(t *testing.T) {
	s := serve(t, taking("taker"))
	in, taker := s.pid(s.in), s.pid("taker")
	misspelt := func(more string) string { return strings.Replace(s.text(5000, more), "waitTimeout", "waitTimeot", 1) }
	thirdParty := func(name, keys string) string {
		return s.text(6000, fmt.Sprintf(`, "plugins": {%q: {"args": ["channel", "in"], "env": ["GORACE"], %s}}`, name, keys))
	}
	for name, test := range map[string]struct {
		text string
		says []string
	}{
		"in a bundled channel's section": {misspelt(taking("taker")), []string{"config.json:2:", s.in + ".waitTimeot"}},
		"a command that another claims":  {s.text(6000, taking("taker", "thief")), []string{"channel thief", "TAKE", `"taker"`}},
		"a right that is not granted":    {thirdParty("asks", fmt.Sprintf(`"path": %q, "unpinned": true`, os.Args[0])), []string{"channel asks", "accept-without-token"}},
		"no executable":                  {thirdParty("none", `"path": "/nonexistent/x", "unpinned": true`), []string{"channel none", "/nonexistent/x"}},
		"another checksum":               {thirdParty("pinned", fmt.Sprintf(`"path": %q, "sha256": %q`, os.Args[0], strings.Repeat("0", 64))), []string{"channel pinned", "checksum"}},
		"two at once":                    {misspelt(taking("taker", "thief")), []string{"config.json:2:", "channel thief"}},
	} {
		t.Run(name, func(t *testing.T) {
			changes, err := s.Reload(t.Context(), load(t, s.path, test.text))
			if err == nil {
				t.Fatalf("it has changed %+v", changes)
			}
			for _, part := range test.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
			if s.pid(s.in) != in || in == 0 || s.pid("taker") != taker || len(s.supervisor.Status()) != 2 {
				t.Errorf("the channels are %+v", s.supervisor.Status())
			}
			if got := s.send(); !strings.Contains(got, `"box":"ok"`) {
				t.Errorf("answer %s", got)
			}
		})
	}
	s.reloads(5000, taking("taker"), Changes{})
}

func TestChannelThatIsOutOfServiceIsTriedAgainAndBlocksNothing(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	link := func(target string) {
		t.Helper()
		if err := errors.Join(os.Symlink(target, program+".new"), os.Rename(program+".new", program)); err != nil {
			t.Fatal(err)
		}
	}
	link("/bin/sh")
	text, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	pinned := fmt.Sprintf(`, "plugins": {"late": {"path": %q, "args": ["channel", "out"], "env": ["GORACE"], "sha256": "%x"}}`, program, sha256.Sum256(text))
	s := serve(t, pinned)
	if got := s.status("late"); got.State != supervisor.Down {
		t.Fatalf("at first it is %+v", got)
	}
	s.reloads(6000, pinned, Changes{Changed: []string{s.in}})
	if got := s.status("late"); got.State != supervisor.Down {
		t.Fatalf("after a reload that does not concern it: %+v", got)
	}
	link(os.Args[0])
	s.reloads(6000, pinned, Changes{Restarted: []string{"late"}})
	if got := s.send(); !strings.Contains(got, `"box":"ok"`) {
		t.Errorf("answer %s", got)
	}
}

func TestTakenPortAtAReloadLeavesTheRestRunning(t *testing.T) {
	s := serve(t, taking("taker"))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	taker := s.pid("taker")
	text := strings.Replace(s.text(5000, taking("taker")), `"port": 0`, fmt.Sprintf(`"port": %d`, taken.Addr().(*net.TCPAddr).Port), 1)
	changes, err := s.Reload(t.Context(), load(t, s.path, text))
	if err == nil {
		s.Await(t.Context(), changes)
	}
	if err != nil || !slices.Equal(changes.Changed, []string{s.in}) {
		t.Fatalf("changes %+v, %v", changes, err)
	}
	got := s.status(s.in)
	again := got.State == supervisor.Starting && got.Restarts > 0
	if got.State != supervisor.Waiting && !again || !strings.Contains(got.LastError, "address already in use") {
		t.Errorf("the channel is %+v", got)
	}
	if s.pid("taker") != taker {
		t.Error("the other was touched")
	}
	s.reloads(5000, taking("taker"), Changes{Changed: []string{s.in}})
	if got := s.send(); !strings.Contains(got, `"box":"ok"`) {
		t.Errorf("answer %s", got)
	}
}

func TestReloadEndsWithItsContextAndChangesNothing(t *testing.T) {
	s := serve(t, "")
	in := s.pid(s.in)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if changes, err := s.Reload(ctx, load(t, s.path, s.text(6000, ""))); !errors.Is(err, context.Canceled) {
		t.Errorf("changes %+v, %v", changes, err)
	}
	if s.pid(s.in) != in {
		t.Error("the channel was touched")
	}
}

func TestManyReloadsLeaveNothingBehind(t *testing.T) {
	s := serve(t, taking("taker"))
	temporary := filepath.Join(filepath.Dir(s.path), "tmp")
	if err := os.Mkdir(temporary, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", temporary) // where the sockets of checks are
	texts := []*config.Config{
		load(t, s.path, s.text(6000, "")),
		load(t, s.path, s.text(7000, taking("taker"))),
	}
	round := func() {
		for _, next := range texts {
			changes, err := s.Reload(t.Context(), next)
			if err != nil {
				t.Fatal(err)
			}
			s.Await(t.Context(), changes)
		}
	}
	round() // what is made once is there after it
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	const rounds, spare = 10, 5 // spare: of how many more is none left by each round
	for range rounds {
		round()
	}
	if got := s.send(); !strings.Contains(got, `"box":"ok"`) {
		t.Errorf("answer %s", got)
	}
	// The ends of connections are noticed a moment later.
	deadline := time.Now().Add(30 * time.Second)
	for runtime.NumGoroutine() > goroutines+spare || len(openFiles(t)) > len(files)+spare {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines instead of %d, open files\n%q\nbefore\n%q", runtime.NumGoroutine(), goroutines, openFiles(t), files)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if len(s.links) != 2 {
		t.Errorf("links %v", s.links)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("the directory for temporary files has %v, %v", left, err)
	}
	left, err := os.ReadDir(s.dir.runtime)
	if err != nil || len(left) != 3 {
		t.Errorf("of a lock and two channels' sockets the runtime directory has %v, %v", left, err)
	}
}

// openFiles lists what this process has open, but for the database, which has as
// many connections as it needs; nothing where there is no /proc.
func openFiles(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var files []string
	for _, entry := range entries {
		// The directory's own is closed by now.
		if target, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil && !strings.Contains(target, "mpush.db") {
			files = append(files, target)
		}
	}
	return files
}
