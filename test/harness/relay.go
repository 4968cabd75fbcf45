package harness

import (
	"crypto/rand"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Object is a section of a configuration, or all of it.
type Object = map[string]any

// Relay is an mpush core with its channels, run by a test. Its config file and
// data directory stay when it is stopped or killed, and it may be started again.
// One goroutine at a time may start and end it; senders and receivers may use it
// from any, and so may who reads its log and its start-up log.
type Relay struct {
	// Dir holds config.json and the data directory, data.
	Dir string
	// Token is the relay's, unless the configuration names another.
	Token string

	mu       sync.Mutex // held to change what follows, and to read it from any goroutine
	proc     *process
	channels map[string]Channel
	past     strings.Builder // what earlier processes have printed
}

// Channel is what the start-up log says of one.
type Channel struct {
	State string // where it listens, or why it does not run
	PID   int    // 0 if it does not run
}

// jwtHeader is what every session begins with: {"alg":"HS256"," and then more.
const jwtHeader = "eyJhbGciOiJIUzI1NiIsI"

// stopTime is what a relay may take to end when it is asked to: eight seconds are
// promised, and what follows them takes its time on a busy machine.
const stopTime = 20 * time.Second

// New prepares a relay with the configuration laid over what tests want: free
// ports on loopback, a token that is nowhere else, and times so long that a busy
// machine makes no message wait or come twice. The channels webhook and webpush
// are on when the configuration has their sections. Nothing runs yet. What runs
// when the test is over is stopped, in good order or the test fails.
func New(t testing.TB, config Object) *Relay {
	t.Helper()
	r := &Relay{Dir: Dir(t), Token: "token-" + rand.Text()}
	all := Object{
		"token":     r.Token,
		"ops":       Object{"listen": ""}, // many relays run on one machine
		"http":      Object{"host": "127.0.0.1", "port": 0, "waitTimeout": 15_000},
		"websocket": Object{"host": "127.0.0.1", "port": 0, "waitTimeout": 15_000, "retryTimeout": 60_000},
	}
	for _, name := range []string{"webhook", "webpush"} {
		if _, wanted := config[name]; !wanted {
			all[name] = Object{"enabled": false}
		}
	}
	for name, value := range config {
		section, isSection := value.(Object)
		if base, ok := all[name].(Object); ok && isSection {
			maps.Copy(base, section)
		} else {
			all[name] = value
		}
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	r.Configure(t, string(text))
	t.Cleanup(func() { r.finish(t) })
	return r
}

// Start prepares a relay as New does and starts it.
func Start(t testing.TB, config Object) *Relay {
	t.Helper()
	r := New(t, config)
	r.Start(t)
	return r
}

// Configure writes the config file as it stands here, for the next start.
func (r *Relay) Configure(t testing.TB, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.Dir, "config.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Start runs the relay and waits until its channels do.
func (r *Relay) Start(t testing.TB) {
	t.Helper()
	proc := startProcess(t, r.Dir, Program(t, "mpush"), []string{"serve", "--config", "config.json", "--data", "data"}, nil)
	r.mu.Lock()
	r.proc = proc
	r.mu.Unlock()
	up := func(text string) bool { return strings.Contains(text, "Stop with Ctrl-C.") }
	if !r.proc.stdout.until(up, r.proc.ended) {
		t.Fatalf("the relay did not start\n%s", r.Log())
	}
	channels := make(map[string]Channel)
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z0-9-]+) +(.*?) +pid (\d+)$`).FindAllStringSubmatch(r.proc.stdout.String(), -1) {
		pid, _ := strconv.Atoi(m[3])
		channels[m[1]] = Channel{State: m[2], PID: pid}
	}
	r.mu.Lock()
	r.channels = channels
	r.mu.Unlock()
}

// Stop asks the relay to end, as service managers do. It must: soon, with exit
// code 0, and with all that it has started.
func (r *Relay) Stop(t testing.TB) {
	t.Helper()
	if !r.proc.signal(syscall.SIGTERM, stopTime) {
		t.Errorf("the relay did not stop within %v\n%s", stopTime, r.Log())
	}
	if code := r.proc.exitCode(); code != 0 {
		t.Errorf("the relay stopped with exit code %d\n%s", code, r.Log())
	}
	if left := endSession(r.proc.pid()); len(left) > 0 {
		t.Errorf("the relay has stopped and left %v running", left)
	}
	r.remember()
}

// Kill ends the core, and nothing else, by SIGKILL. All that it has started must
// follow.
func (r *Relay) Kill(t testing.TB) {
	t.Helper()
	r.proc.signal(syscall.SIGKILL, Patience)
	gone := func() bool { return len(session(r.proc.pid())) == 0 }
	if !poll(gone) {
		t.Errorf("the relay was killed, and %v still run", endSession(r.proc.pid()))
	}
	r.remember()
}

// Ended waits until the relay has ended by itself, and returns its exit code.
// All that it has started must follow.
func (r *Relay) Ended(t testing.TB) (code int) {
	t.Helper()
	select {
	case <-r.proc.ended:
	case <-time.After(Patience):
		t.Fatalf("the relay runs on\n%s", r.Log())
	}
	if !poll(func() bool { return len(session(r.proc.pid())) == 0 }) {
		t.Errorf("the relay has ended, and %v still run", endSession(r.proc.pid()))
	}
	code = r.proc.exitCode()
	r.remember()
	return code
}

func (r *Relay) remember() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.past.WriteString(r.proc.stdout.String() + r.proc.stderr.String())
	r.proc = nil
}

// PID is the core's process.
func (r *Relay) PID() int { return r.proc.pid() }

// Channel returns what the last start-up log says of a channel.
func (r *Relay) Channel(t testing.TB, name string) Channel {
	t.Helper()
	r.mu.Lock()
	channel, ok := r.channels[name]
	r.mu.Unlock()
	if !ok {
		t.Fatalf("the start-up log has no channel %s\n%s", name, r.Log())
	}
	return channel
}

// Address is where a channel listens.
func (r *Relay) Address(t testing.TB, name string) string {
	t.Helper()
	return r.Channel(t, name).State
}

// Channels returns the names of the channels in the start-up log.
func (r *Relay) Channels() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.channels))
}

// Processes are the running processes of the relay: the core, and all that it or
// its plugins have started.
func (r *Relay) Processes() []Process { return session(r.proc.pid()) }

// Log is all that the relay has printed, on stdout and stderr, since New.
func (r *Relay) Log() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	log := r.past.String()
	if r.proc != nil {
		log += r.proc.stdout.String() + r.proc.stderr.String()
	}
	return log
}

// WaitLog waits for a line on the present process's stderr that has all these
// parts, and returns it.
func (r *Relay) WaitLog(t testing.TB, parts ...string) string {
	t.Helper()
	var found string
	ok := r.proc.stderr.until(func(text string) bool {
		for line := range strings.Lines(text) {
			lacks := func(part string) bool { return !strings.Contains(line, part) }
			if strings.HasSuffix(line, "\n") && !slices.ContainsFunc(parts, lacks) {
				found = line
				return true
			}
		}
		return false
	}, r.proc.ended)
	if !ok {
		t.Fatalf("the log has no line with %q\n%s", parts, r.Log())
	}
	return found
}

// WaitRestart waits until a channel runs as another process than the one given,
// and returns that.
func (r *Relay) WaitRestart(t testing.TB, channel string, oldPID int) (pid int) {
	t.Helper()
	lines := regexp.MustCompile(`(?m)msg="channel running" channel=` + channel + ` .*\bpid=(\d+) .*$`)
	ok := r.proc.stderr.until(func(text string) bool {
		for _, m := range lines.FindAllStringSubmatch(text, -1) {
			if pid, _ = strconv.Atoi(m[1]); pid != oldPID {
				return true
			}
		}
		return false
	}, r.proc.ended)
	if !ok {
		t.Fatalf("channel %s was not started again\n%s", channel, r.Log())
	}
	return pid
}

// finish ends what runs and looks at what was printed.
func (r *Relay) finish(t testing.TB) {
	if r.proc != nil && r.proc.running() {
		r.Stop(t)
	} else if r.proc != nil {
		endSession(r.proc.pid())
	}
	log := r.Log()
	for _, trouble := range []string{"DATA RACE", "panic: ", "fatal error: ", "panicked"} {
		if strings.Contains(log, trouble) {
			t.Errorf("the relay has printed %q", trouble)
		}
	}
	if strings.Contains(log, r.Token) {
		t.Error("the relay has printed its token")
	}
	if strings.Contains(log, jwtHeader) {
		t.Error("the relay has printed a session")
	}
	if t.Failed() {
		t.Logf("what the relay in %s has printed:\n%s", r.Dir, log)
	}
}

// poll waits for a condition in which no event can be awaited, since it is about
// processes that are not the test's children.
func poll(condition func() bool) bool {
	deadline := time.Now().Add(Patience)
	for !condition() {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(5 * time.Millisecond)
	}
	return true
}
