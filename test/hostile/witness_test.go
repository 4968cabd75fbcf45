package hostile

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"mpush/test/harness"
)

// The receiver that hostile input is addressed to. It is known and away, so that
// whatever is accepted for it waits in its queue.
const (
	victim  = "victim"
	victims = "victims" // its group
)

// witness is a relay and those of its clients who must not suffer.
type witness struct {
	*harness.Relay
	phone *harness.Client // a receiver that is connected all the time
	asked int             // how often it was served
	pids  string
}

// startWitness runs a relay with the configuration laid over the harness's.
func startWitness(t *testing.T, config harness.Object) *witness {
	t.Helper()
	w := &witness{Relay: harness.Start(t, config)}
	w.Away(t, victim, victims)
	w.phone = w.Receiver(t, "phone")
	w.pids = fmt.Sprint(w.processIDs())
	return w
}

func (w *witness) processIDs() (pids []int) {
	for _, p := range w.Processes() {
		pids = append(pids, p.PID)
	}
	return pids
}

// served makes sure that a message goes through now, with the ack and the reply.
func (w *witness) served(t *testing.T) {
	t.Helper()
	w.asked++
	text := fmt.Sprintf("still-there-%d", w.asked)
	answer := w.Begin(t, harness.Request{Target: "/phone.send?text=" + text})
	for { // one whose ack was late has come twice
		m := w.phone.NextMessage(t)
		w.phone.Ack(t, m.MID)
		if m.Text == text {
			break
		}
		if m.Text != fmt.Sprintf("still-there-%d", w.asked-1) {
			t.Fatalf("%q came instead of %q", m.Text, text)
		}
	}
	answer().ExpectStatuses(t, map[string]string{"phone": "ok"})
}

// unharmed makes sure that all processes are those of before, that messages go
// through, and that nothing was queued for the victim.
func (w *witness) unharmed(t *testing.T) {
	t.Helper()
	w.served(t)
	if now := fmt.Sprint(w.processIDs()); now != w.pids {
		t.Errorf("the processes are %s, they were %s", now, w.pids)
	}
	// Per receiver there is one order: what was queued before comes first.
	w.Do(t, harness.Request{Target: "/" + victim + ".send?text=fence", Header: []string{"Prefer: wait=0"}}).
		ExpectStatuses(t, map[string]string{victim: "ready"})
	back := w.Member(t, victim, victims)
	fence := back.Take(t, "fence")
	back.Send(t, `{"cmd":"PING"}`)
	for next := back.Next(t); next != `{"cmd":"PONG","data":""}`; next = back.Next(t) {
		if !strings.Contains(next, fence) { // again, since its ack was late
			t.Errorf("behind the fence came %s", next)
		}
	}
	back.Close()
}

// eventually waits for a condition of another process, in which no event can be
// awaited.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(harness.Patience); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("not so in %v: %s", harness.Patience, what)
			return
		}
	}
}

// files counts the files and sockets that a process has open.
func files(t *testing.T, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "fd"))
	if err != nil {
		t.Skipf("needs /proc: %v", err)
	}
	return len(entries)
}

// memory is what a process has in memory, in bytes.
func memory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		t.Skipf("needs /proc: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kilobytes, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")))
			if err != nil {
				t.Fatal(err)
			}
			return kilobytes << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
