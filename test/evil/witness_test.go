package evil

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mpush/test/harness"
)

// evilPatience is how long a vice may take to be named: the longest waits are
// the core's own, of half a minute.
const evilPatience = 90 * time.Second

type statuses = map[string]string

// entries makes a plugin of each vice, its channel called after it.
func entries(t *testing.T, vices ...string) harness.Object {
	t.Helper()
	noteSources(t)
	all := make(harness.Object)
	for _, vice := range vices {
		args := []string{"-vice", vice}
		if *longFlag {
			args = append(args, "-much")
		}
		all[vice] = harness.Object{
			"path": harness.Program(t, "plugin"), "args": args, "unpinned": true, "mtls": false,
			"rights": []string{"accept-without-token"}, // so that it can do more
		}
	}
	return all
}

// noteSources looks at the plugin's sources, of which harness.Program does not
// know: a cached result depends on what a test looks at.
func noteSources(t *testing.T) {
	t.Helper()
	sources, err := filepath.Glob("plugin/*.go")
	if err != nil || len(sources) == 0 {
		t.Fatal(err)
	}
	for _, source := range sources {
		if _, err := os.Stat(source); err != nil {
			t.Fatal(err)
		}
	}
}

// witness is a relay with evil channels and those who must not suffer.
type witness struct {
	*harness.Relay
	phone *harness.Client // a receiver that is connected all the time
	// slowest is the longest that a message has taken, with its ack and reply.
	slowest time.Duration
}

// startWitness runs a relay with the configuration laid over the harness's. The
// receiver away is known, and not connected.
func startWitness(t *testing.T, config harness.Object) *witness {
	t.Helper()
	config["ops"] = harness.Object{"listen": "127.0.0.1:0", "pprof": true}
	w := &witness{Relay: harness.Start(t, config)}
	w.Away(t, "away", "")
	w.phone = w.Receiver(t, "phone")
	return w
}

// served makes sure that a message goes through now, with the ack and the reply.
func (w *witness) served(t *testing.T) {
	t.Helper()
	began := time.Now()
	answer := w.Begin(t, harness.Request{Target: "/phone.send?text=still+there"})
	w.phone.Take(t, "still there")
	answer().ExpectStatuses(t, statuses{"phone": "ok"})
	w.slowest = max(w.slowest, time.Since(began))
}

// serveUntil makes sure that others are served until the condition holds, and
// once more when it does.
func (w *witness) serveUntil(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(evilPatience); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("not so in %v: %s", evilPatience, what)
		}
		w.served(t)
	}
	w.served(t)
}

// lines counts the lines of a log that have all these parts.
func lines(log string, parts ...string) int {
	n := 0
	for line := range strings.Lines(log) {
		all := strings.HasSuffix(line, "\n")
		for _, part := range parts {
			all = all && strings.Contains(line, part)
		}
		if all {
			n++
		}
	}
	return n
}

// named makes sure that others are served until the log has one more line with
// these parts, at level warn, than before.
func (w *witness) named(t *testing.T, before string, parts ...string) {
	t.Helper()
	parts = append(parts, "level=WARN")
	w.serveUntil(t, "the log has "+strings.Join(parts, " "), func() bool {
		return lines(w.Log(), parts...) > lines(before, parts...)
	})
}

// begin lets a channel begin with its vice, and returns the log of before.
func (w *witness) begin(t *testing.T, channel string) (before string) {
	t.Helper()
	before = w.Log()
	w.Get(t, "/"+channel+".send?text=begin").ExpectStatuses(t, statuses{channel: "ok"})
	return before
}

// queue sends a message that nobody is there to take.
func (w *witness) queue(t *testing.T, receiver, text string) {
	t.Helper()
	reply := w.Do(t, harness.Request{Target: "/" + receiver + ".send?text=" + text, Header: []string{"Prefer: wait=0"}})
	if reply.Status != 200 || strings.Contains(reply.Body, `"ok"`) {
		t.Fatalf("%d %s", reply.Status, reply.Body)
	}
}

// pid is the process of a channel as the log tells, the newest one.
func (w *witness) pid(t *testing.T, channel string) int {
	t.Helper()
	all := regexp.MustCompile(`(?m)msg="channel running" channel=`+channel+` .*\bpid=(\d+) .*$`).FindAllStringSubmatch(w.Log(), -1)
	if len(all) == 0 {
		t.Fatalf("channel %s does not run", channel)
	}
	pid, err := strconv.Atoi(all[len(all)-1][1])
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// end kills the plugin in the midst of its vice, and waits for its next life,
// which behaves.
func (w *witness) end(t *testing.T, channel string) {
	t.Helper()
	pid := w.pid(t, channel)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.WaitRestart(t, channel, pid)
}

// back waits for the channel's next life after one that ended by itself.
func (w *witness) back(t *testing.T, channel string, pid int) {
	t.Helper()
	w.serveUntil(t, channel+" is back", func() bool { return w.pid(t, channel) != pid })
}
