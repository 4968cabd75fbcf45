//go:build linux

package chaos

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mpush/test/harness"
)

const (
	queueSenders = 16
	warmUp       = 5   // messages of each sender before anything is measured
	latencies    = 200 // round trips that are timed
)

// queueSize says how much waits for the silent receiver, whatever the number of
// messages, and what all processes together may grow by meanwhile, the garbage
// of the sends included. The detector of data races is slow, and keeps several
// times as much as a program does: what is queued in memory, too.
func queueSize() (bytes, mostGrowth int) {
	if harness.Race {
		return 48 << 20, 128 << 20
	}
	return 96 << 20, 48 << 20
}

// Memory does not grow with the length of a queue, and nobody but its receiver
// has to do with it.
func TestSilentReceiversQueueGrowsOnDiskAlone(t *testing.T) {
	each := *queueFlag / queueSenders
	if testing.Short() {
		each = 3000 / queueSenders
	}
	n := each * queueSenders
	size, most := queueSize()
	relay := harness.Start(t, harness.Object{"websocket": harness.Object{"host": "127.0.0.1", "port": 0, "retryTimeout": 1000}})
	silent, left, right := relay.Receiver(t, "silent"), relay.Receiver(t, "left"), relay.Receiver(t, "right")
	way := &trips{from: left, to: right}
	load := newQueueLoad(relay.Address(t, "http"), relay.Token, size/n)
	load.run(t, warmUp)
	empty, disk := timed(t, way), diskUsage(t, relay)
	before := resident(t, relay)

	began, meanwhile := time.Now(), 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		load.run(t, each-warmUp)
	}()
	for waiting := true; waiting; meanwhile++ {
		way.one(t, "meanwhile")
		select {
		case <-done:
			waiting = false
		default:
		}
	}
	took, grown := time.Since(began), resident(t, relay)-before
	full, slow := timed(t, way), 5*empty+50*time.Millisecond
	// A disk may be slow for a while after so much was written. What the queue
	// costs stays as long as it does.
	for deadline := time.Now().Add(patience); full > slow && time.Now().Before(deadline); {
		t.Logf("a message and its ack took %v", full)
		time.Sleep(time.Second)
		full = timed(t, way)
	}
	t.Logf("%d messages, %d MiB, in %v; meanwhile %d others went through", n, size>>20, took.Round(time.Millisecond), meanwhile)
	t.Logf("the processes have %d MiB and %d MiB more than before; the disk has %d MiB more", before>>20, grown>>20, (diskUsage(t, relay)-disk)>>20)
	t.Logf("a message and its ack took %v before (median), %v with the queue", empty, full)
	if grown > most {
		t.Errorf("%d bytes in a queue made the processes grow by %d", size, grown)
	}
	if on := diskUsage(t, relay) - disk; on < size*9/10 { // but for the first
		t.Errorf("about %d bytes are queued, the disk has %d more", size, on)
	}
	if full > slow {
		t.Errorf("another receiver's message took %v before, and %v with the queue", empty, full)
	}
	var books audit
	// The last acks are on disk a moment after their senders were told.
	settled := func() bool {
		if err := ask(t, relay, &books, "audit"); err != nil {
			t.Fatal(err)
		}
		return books.Total.Pending == load.sent || !books.Balanced
	}
	poll(patience, settled)
	for _, a := range books.Accounts {
		if want := map[bool]int{true: load.sent}[a.Receiver == "silent"]; a.Pending != want || !a.Balanced {
			t.Errorf("the books say %+v, expected %d pending", a, want)
		}
	}

	began = time.Now()
	silent.Close()
	load.drain(t, relay.Receiver(t, "silent"))
	t.Logf("when it acks, it has them all after %v", time.Since(began).Round(time.Millisecond))
}

// queueLoad sends to the silent receiver, from many connections.
type queueLoad struct {
	senders []*overHTTP
	next    []int // of each sender
	size    int   // bytes of desp
	sent    int
}

func newQueueLoad(address, token string, size int) *queueLoad {
	l := &queueLoad{next: make([]int, queueSenders), size: size}
	for range queueSenders {
		l.senders = append(l.senders, newHTTP(address, token, false))
	}
	return l
}

// run has each sender send so many messages.
func (l *queueLoad) run(t *testing.T, each int) {
	var sending sync.WaitGroup
	for i, via := range l.senders {
		sending.Go(func() {
			defer via.close()
			for range each {
				m := &send{text: fmt.Sprintf("%d %d", i, l.next[i]), target: "silent", size: l.size}
				if answer, err := via.send(context.Background(), m, 0); err != nil || !strings.Contains(string(answer), `"mid"`) {
					t.Errorf("%q: %s %v", m.text, answer, err)
					return
				}
				l.next[i]++
			}
		})
	}
	sending.Wait()
	l.sent += each * len(l.senders)
}

// drain takes all that was sent, which must come in each sender's order.
func (l *queueLoad) drain(t *testing.T, silent *harness.Client) {
	t.Helper()
	got := make([]int, len(l.senders))
	for last := ""; !slices.Equal(got, l.next); {
		m, err := silent.Receive()
		if err == nil {
			err = silent.Confirm(m.MID)
		}
		if err != nil {
			t.Fatal(err)
		}
		if m.MID == last {
			continue // sent again, on a busy machine
		}
		last = m.MID
		var sender, number int
		if _, err := fmt.Sscan(m.Text, &sender, &number); err != nil || number != got[sender] {
			t.Fatalf("message %q comes after %d of that sender", m.Text, got[sender])
		}
		got[sender]++
	}
}

// timed returns the median of some round trips.
func timed(t *testing.T, way *trips) time.Duration {
	t.Helper()
	var took []time.Duration
	for range latencies {
		began := time.Now()
		way.one(t, "timed")
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// resident is the memory of all processes of a relay, in bytes, without that of
// files, which they share.
func resident(t *testing.T, relay *harness.Relay) (bytes int) {
	t.Helper()
	line := regexp.MustCompile(`(?m)^RssAnon:\s+(\d+) kB$`)
	for _, p := range relay.Processes() {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
		if err != nil {
			t.Fatal(err)
		}
		match := line.FindSubmatch(status)
		if match == nil {
			t.Fatalf("no RssAnon in %s", status)
		}
		kib, err := strconv.Atoi(string(match[1]))
		if err != nil {
			t.Fatal(err)
		}
		bytes += kib << 10
	}
	return bytes
}

// diskUsage is the size of a relay's files, in bytes.
func diskUsage(t *testing.T, relay *harness.Relay) (bytes int) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(relay.Dir, "data"), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().IsRegular() {
			bytes += int(info.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}
