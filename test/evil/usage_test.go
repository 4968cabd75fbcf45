package evil

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"mpush/test/harness"
)

// usage is what the core takes, as the system tells.
type usage struct {
	resident, peak int // bytes
	threads        int
	files          int // sockets, pipes and the like; not those of the store, which opens more as it likes
}

func (u usage) String() string {
	return fmt.Sprintf("%d MiB (at most %d), %d threads, %d files", u.resident>>20, u.peak>>20, u.threads, u.files)
}

func (w *witness) usage(t *testing.T) usage {
	t.Helper()
	dir := "/proc/" + strconv.Itoa(w.PID())
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		t.Skipf("needs /proc: %v", err)
	}
	files, err := os.ReadDir(dir + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	var u usage
	for _, file := range files {
		if name, err := os.Readlink(dir + "/fd/" + file.Name()); err == nil && !strings.HasPrefix(name, "/") {
			u.files++
		}
	}
	for name, field := range map[string]*int{"VmRSS": &u.resident, "VmHWM": &u.peak, "Threads": &u.threads} {
		match := regexp.MustCompile(`(?m)^` + name + `:\s+(\d+)( kB)?$`).FindStringSubmatch(string(status))
		if match == nil {
			t.Fatalf("no %s in %s", name, status)
		}
		if *field, err = strconv.Atoi(match[1]); err != nil {
			t.Fatal(err)
		}
		if match[2] != "" {
			*field <<= 10
		}
	}
	return u
}

// mostGrowth is what the core's memory may grow by at worst. The detector of
// data races keeps several times as much besides.
func mostGrowth() int {
	if harness.Race {
		return 1 << 30
	}
	return 256 << 20
}

// settled makes sure that the core has given back the files that it had opened
// for evil, and took no more memory and threads meanwhile than it may.
func (w *witness) settled(t *testing.T, before usage) {
	t.Helper()
	w.serveUntil(t, "the files that were opened are closed", func() bool {
		return w.usage(t).files <= before.files
	})
	after := w.usage(t)
	t.Logf("the core took %v, then %v; nobody waited longer than %v", before, after, w.slowest)
	if grown := after.peak - before.resident; grown > mostGrowth() {
		t.Errorf("its memory has grown by %d MiB", grown>>20)
	}
	if after.threads > before.threads+16 {
		t.Errorf("it has %d threads, it had %d", after.threads, before.threads)
	}
}

// autopsy asks the core for its goroutines, and makes sure that each channel that
// runs has one link and nobody else has one. Then it kills the core, which ends all.
func (w *witness) autopsy(t *testing.T, channels int) {
	t.Helper()
	// Not by SIGQUIT: what goes on meanwhile can break off that dump.
	dump := "\n" + harness.GetFrom(t, w.OpsAddress(t), "/debug/pprof/goroutine?debug=2").Body
	w.Kill(t)
	for function, each := range map[string]int{
		"mpush/core/link.(*Link).Run(": 1, "mpush/core/supervisor.(*life).watchHealth(": 1,
		// A reader and a writer.
		"created by mpush/core/link.(*Link).Run in": 2,
	} {
		if n := strings.Count(dump, function); n != each*channels {
			t.Errorf("%d goroutines have %q for %d channels", n, function, channels)
		}
	}
	if n, most := strings.Count(dump, "\ngoroutine "), 40+30*channels; n > most {
		t.Errorf("there are %d goroutines for %d channels", n, channels)
	} else {
		t.Logf("%d goroutines for %d channels", n, channels)
	}
}

// environ is what a process was given as its environment.
func environ(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		t.Skipf("needs /proc: %v", err)
	}
	return strings.ReplaceAll(string(text), "\x00", "\n")
}
