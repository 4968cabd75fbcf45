package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mpush/test/harness"
)

// install puts a plugin's program in place, as an upgrade does: renamed over the
// one that may be running. release makes it another file that does the same.
func install(t *testing.T, path, program, release string) (sha256 string) {
	t.Helper()
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+"~", append(content, release...), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+"~", path); err != nil {
		t.Fatal(err)
	}
	return sha256Of(t, path)
}

// counter is a sender that goes on, and how long each send took.
type counter struct {
	sent  int
	times []time.Duration
	end   chan struct{}
	done  sync.WaitGroup
}

// count calls each with 0, 1, 2 … until it is stopped or fails.
func count(t *testing.T, each func(n int) error) *counter {
	c := &counter{end: make(chan struct{})}
	c.done.Go(func() {
		for {
			select {
			case <-c.end:
				return
			default:
			}
			began := time.Now()
			if err := each(c.sent); err != nil {
				t.Error(err)
				return
			}
			c.times = append(c.times, time.Since(began))
			c.sent++
		}
	})
	t.Cleanup(c.stop)
	return c
}

func (c *counter) stop() {
	select {
	case <-c.end:
	default:
		close(c.end)
	}
	c.done.Wait()
}

// quantile is one of the times, in order of length.
func (c *counter) quantile(q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(c.times))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)].Round(100 * time.Microsecond)
}

// TestPluginIsAddedUpgradedSwitchedOffAndOnUnderLoad changes a third party's
// channel in every way while a thousand sockets are open, messages are sent to
// it, and others have traffic of their own.
func TestPluginIsAddedUpgradedSwitchedOffAndOnUnderLoad(t *testing.T) {
	t.Parallel()
	r := startReloading(t, nil)
	phones := make([]*harness.Client, 1000)
	for i := range phones {
		phones[i] = r.Receiver(t, fmt.Sprintf("phone%d", i))
	}
	others := phones[0]
	program, messages := filepath.Join(r.Dir, "file"), filepath.Join(r.Dir, "messages.jsonl")
	entry := func(sha256 string, enabled bool) harness.Object {
		return harness.Object{"plugins": harness.Object{"file": harness.Object{
			"path": "file", "sha256": sha256, "enabled": enabled,
			"config": harness.Object{"path": messages, "clients": []any{harness.Object{"name": "log"}}},
		}}}
	}
	// Others' round trips, with the reply.
	trips := count(t, func(n int) error {
		answer := r.Begin(t, harness.Request{Target: "/phone0.send?text=" + strconv.Itoa(n)})
		m, err := others.Receive()
		if err != nil {
			return err
		}
		if m.Text != strconv.Itoa(n) {
			return fmt.Errorf("phone0 got %q, not %d", m.Text, n)
		}
		if err := others.Confirm(m.MID); err != nil {
			return err
		}
		if reply := answer(); !strings.Contains(reply.Body, `"phone0":"ok"`) {
			return fmt.Errorf("the sender got %d %s", reply.Status, reply.Body)
		}
		return nil
	})
	first := install(t, program, harness.Program(t, "file"), "")
	r.reload(entry(first, true), "added=[file]")
	numbers := count(t, func(n int) error {
		reply := r.Do(t, atOnce("/log.send?text="+strconv.Itoa(n)))
		if reply.Status != 200 || strings.Contains(reply.Body, `"log":"no"`) {
			return fmt.Errorf("log's sender got %d %s", reply.Status, reply.Body)
		}
		return nil
	})
	arrived := func(text string) func() bool {
		return func() bool { return slices.Contains(textsOf(t, messages), text) }
	}
	eventually(t, "messages arrive", arrived("50"))
	second := install(t, program, harness.Program(t, "file"), "release 2")
	if first == second {
		t.Fatal("the release is no other file")
	}
	r.reload(entry(second, true), "changed=[file]")
	eventually(t, "messages arrive after the upgrade", arrived(strconv.Itoa(len(textsOf(t, messages))+50)))
	r.reload(entry(second, false), "removed=[file]")
	before := len(textsOf(t, messages))
	reply := r.Do(t, atOnce("/log.send?text=away"))
	reply.ExpectStatuses(t, statuses{"log": "ready"})
	if now := len(textsOf(t, messages)); now != before {
		t.Errorf("%d messages arrived while the channel was switched off", now-before)
	}
	r.reload(entry(second, true), "added=[file]")
	numbers.stop()
	r.Get(t, "/log.send?text=last").ExpectStatuses(t, statuses{"log": "ok"})
	trips.stop()

	got := slices.Compact(slices.DeleteFunc(textsOf(t, messages), func(text string) bool { return text == "away" || text == "last" }))
	for i, text := range got {
		if text != strconv.Itoa(i) {
			t.Fatalf("after %d came %s", i-1, text)
		}
	}
	if len(got) != numbers.sent {
		t.Errorf("%d messages were accepted, %d have arrived", numbers.sent, len(got))
	}
	if again := r.lines("channel running", "channel=websocket"); len(again) != 1 {
		t.Errorf("the channel of the sockets was started %d times", len(again))
	}
	for _, phone := range phones[1:] {
		phone.ExpectNothing(t)
	}
	t.Logf("%d round trips of others meanwhile: median %v, p99 %v, longest %v; %d messages to the channel",
		trips.sent, trips.quantile(0.5), trips.quantile(0.99), trips.quantile(1), numbers.sent)
}

// textsOf are the texts of the messages in a file of examples/file.
func textsOf(t *testing.T, messages string) (texts []string) {
	t.Helper()
	written, err := os.ReadFile(messages)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(written)) {
		var packet struct {
			Data struct{ Message struct{ Text string } }
		}
		if strings.HasSuffix(line, "\n") && json.Unmarshal([]byte(line), &packet) == nil {
			texts = append(texts, packet.Data.Message.Text)
		}
	}
	return texts
}
