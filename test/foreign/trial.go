package foreign

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"mpush/test/harness"
)

const (
	receivers   = 4
	eachGets    = 50
	killedAfter = 60 // requests, of the 200 and more that there will be
)

// Names are the receivers that SurvivesAKill sends to: the channel's
// configuration has these.
func Names() []string {
	names := make([]string, receivers)
	for i := range names {
		names[i] = fmt.Sprintf("r%d", i)
	}
	return names
}

// Running waits until a channel of a relay that has just been started runs, and
// returns its process. Interpreters start slowly on a busy machine: one that
// misses the core's limit for it is started again.
func Running(t testing.TB, r *harness.Relay, channel string) (pid int) {
	t.Helper()
	return r.WaitRestart(t, channel, 0)
}

// Send sends a text to a receiver and returns as soon as that is on disk.
func Send(t testing.TB, r *harness.Relay, receiver, text string) {
	t.Helper()
	reply := r.Do(t, harness.Request{
		Target: "/" + receiver + ".send?text=" + text,
		Header: []string{"Prefer: wait=0"},
	})
	if reply.Status != http.StatusOK {
		t.Fatalf("sending to %s: %d %s", receiver, reply.Status, reply.Body)
	}
}

// SurvivesAKill sends 200 messages to four receivers of a channel, kills its
// process by SIGKILL while they are on their way, and checks that each receiver
// gets all of its messages in order. What was in flight may come twice. The
// relay runs; far is what the channel hands messages to.
func SurvivesAKill(t *testing.T, r *harness.Relay, channel string, far *FarSide) {
	t.Helper()
	pid := Running(t, r, channel)
	var senders sync.WaitGroup
	for _, name := range Names() {
		senders.Go(func() {
			for n := range eachGets {
				reply := r.Begin(t, harness.Request{Target: "/" + name + ".send?text=" + strconv.Itoa(n), Header: []string{"Prefer: wait=0"}})()
				if reply.Status != http.StatusOK {
					t.Errorf("message %d to %s: %d %s", n, name, reply.Status, reply.Body)
				}
			}
		})
	}
	far.Until(t, "the load begins", func() bool { return far.Total() >= killedAfter })
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.WaitRestart(t, channel, pid)
	senders.Wait()
	for _, name := range Names() {
		far.Expect(t, name, strconv.Itoa(eachGets-1))
		next := 0
		for i, text := range far.Posted(name) {
			switch text {
			case strconv.Itoa(next):
				next++
			case strconv.Itoa(next - 1): // in flight when the process died
			default:
				t.Fatalf("%s got %q as number %d, after %d: %v", name, text, i, next-1, far.Posted(name))
			}
		}
		if got := len(far.Posted(name)); got > eachGets+1 {
			t.Errorf("%s was posted %d times for %d messages", name, got, eachGets)
		}
	}
	r.Get(t, "/"+Names()[0]+".send?text=after").ExpectStatuses(t, map[string]string{Names()[0]: channel + "-ok"})
}
