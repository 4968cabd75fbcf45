package supervisor

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mpush/sdk/pluginpb"
)

func TestPluginThatTakesTooMuchMemoryIsRestarted(t *testing.T) {
	needsGroups(t)
	b := newBench(t, func(o *Options) { o.Timeouts.GroupEvery = 20 * time.Millisecond })
	hoarder, modest := spec(t, "alpha", hoards), spec(t, "beta", "")
	hoarder.MaxMemory, modest.MaxMemory = 256<<20, 256<<20
	b.start(hoarder, modest)
	s := b.awaitError("uses more memory than limits.memory allows")
	if s.Channel != "alpha" || !strings.Contains(s.LastError, "of 256 MiB") || s.Misconduct != s.LastError {
		t.Errorf("status %+v", s)
	}
	b.await("restarted", func(s Status) bool { return s.Channel == "alpha" && s.State == Running && s.Restarts > 0 })
	if s := b.Status()[1]; s.State != Running || s.Restarts != 0 || s.Misconduct != "" {
		t.Errorf("the modest one: %+v", s)
	}
}

func TestPluginOfManyProcessesIsNamed(t *testing.T) {
	needsGroups(t)
	b := newBench(t, func(o *Options) { o.Timeouts.GroupEvery = 20 * time.Millisecond })
	b.start(spec(t, "alpha", brood))
	b.log.await(t, "WARN channel misbehaves", "channel=alpha", "has started many processes", "count=41")
	pid := b.only().PID
	if u := groupUsages(pid)[pid]; u.processes != 41 || u.resident < 1<<20 || Memory([]int{pid})[pid] < 1<<20 {
		t.Errorf("it takes %+v", u)
	}
	b.stop(patience)
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) { // nobody tells of their end
		u := groupUsages(pid)[pid]
		if u.processes == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of its processes are left", u.processes)
		}
	}
	if s := b.only(); s.Misconduct != "has started many processes (41)" {
		t.Errorf("status %+v", s)
	}
}

func needsGroups(t *testing.T) {
	t.Helper()
	if groupUsages(os.Getpid()) == nil {
		t.Skip("what a process group takes is not known here")
	}
}

// What belongs to the program comes first, so that nobody takes its names and
// commands; if it does not come, the others go on.
func TestOthersAreDescribedWhenBundledChannelsHaveDeclared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := make(chan struct{})
		st := newStage(t, func(channel string, _ int) (*fake, error) {
			f := newFake()
			if channel == "own" {
				f.declare = slow
			}
			return f, nil
		})
		noted := func() []string { return st.opts.Handler.(*fakeOwner).noted() }
		started := make(chan error, 1)
		go func() {
			started <- st.Start(t.Context(), []Spec{{Channel: "third"}, {Channel: "own", Bundled: true}, {Channel: "broken", Bundled: true}})
		}()
		time.Sleep(time.Second)
		synctest.Wait()
		if slices.Contains(noted(), "third described") {
			t.Fatalf("too early: %q", noted())
		}
		close(slow)
		if err := <-started; err != nil {
			t.Fatal(err)
		}
		if got := noted(); got[len(got)-1] != "third described" {
			t.Errorf("noted %q", got)
		}
		// One that is added later waits for nobody.
		if err := st.Start(t.Context(), []Spec{{Channel: "later"}}); err != nil {
			t.Fatal(err)
		}
		st.Stop(t.Context())
	})
}

func TestWhatIsBegunLaterWaitsForBundledChannelsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := make(chan struct{})
		st := newStage(t, func(channel string, _ int) (*fake, error) {
			f := newFake()
			if channel == "own" {
				f.declare = slow
			}
			return f, nil
		})
		for _, specs := range [][]Spec{{{Channel: "own", Bundled: true}}, {{Channel: "third"}, {Channel: "other", Bundled: true}}, {{Channel: "fourth"}}} {
			if err := st.Begin(specs); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		noted := st.opts.Handler.(*fakeOwner).noted
		if got := noted(); slices.Contains(got, "third described") || slices.Contains(got, "fourth described") || !slices.Contains(got, "other described") {
			t.Fatalf("noted %q", got)
		}
		close(slow)
		if err := st.Await(t.Context(), "own", "third", "other", "fourth", "nobody"); err != nil {
			t.Fatal(err)
		}
		st.Stop(t.Context())
	})
}

func TestAccusationStaysWhilePluginsComeAndGo(t *testing.T) {
	b := newBench(t, nil)
	b.start(spec(t, "alpha", ""))
	b.Accuse("nobody", "x")
	b.Accuse("alpha", "lies")
	if s := b.only(); s.Misconduct != "lies" || s.State != Running || s.Unhealthy != "" {
		t.Errorf("status %+v", s)
	}
	b.Hung("alpha", "its stream is blocked")
	if s := b.awaitError("hung"); s.Misconduct != "lies" {
		t.Errorf("status %+v", s)
	}
	if s := b.awaitState(Running); s.Misconduct != "lies" {
		t.Errorf("status %+v", s)
	}
}

func TestWhatAPluginSaysOfItselfIsBounded(t *testing.T) {
	var all []*pluginpb.Diagnostic
	for i := range 1000 {
		all = append(all, &pluginpb.Diagnostic{Severity: pluginpb.Severity_SEVERITY_WARNING, Path: fmt.Sprint("w", i)})
	}
	for i := range 1000 {
		all = append(all, &pluginpb.Diagnostic{Severity: pluginpb.Severity_SEVERITY_ERROR, Path: fmt.Sprint("e", i), Message: strings.Repeat("x", 5000)})
	}
	kept := bounded(all)
	if len(kept) != 2*mostRemarks || kept[0].Path != "w0" || kept[mostRemarks].Path != "e0" || len(kept[mostRemarks].Message) > 1100 {
		t.Errorf("%d are kept", len(kept))
	}
	if misconfiguration(kept) == nil {
		t.Error("the errors are lost")
	}
	endpoints := (&Options{Redact: func(text string) string { return text }}).clipAll(append(make([]string, 1000), strings.Repeat("x", 5000)))
	if len(endpoints) != 64 {
		t.Errorf("%d endpoints are kept", len(endpoints))
	}
	if endpoints := (&Options{Redact: func(text string) string { return text }}).clipAll([]string{strings.Repeat("x", 5000), "y"}); len(endpoints) != 2 || len(endpoints[0]) > 1100 || endpoints[1] != "y" {
		t.Errorf("endpoints %q", endpoints)
	}
}
