package supervisor

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// long makes the tests of bulk as big as the promise is.
var long = flag.Bool("long", false, "flood with 1 GB of output instead of 64 MB")

func TestPluginLivesItsLife(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Timeouts.Exit = 10 * time.Second })
	t.Setenv("MPUSH_SECRET", "of the core")
	b.start(spec(t, "alpha", "", "GIVEN=value"))
	s := b.only()
	if s.State != Running || s.PID == 0 || s.Restarts != 0 || s.Version != "v1" || s.Name != "test" || !slices.Equal(s.Endpoints, []string{"here"}) {
		t.Errorf("status %+v", s)
	}
	b.owner.mu.Lock()
	environment := b.owner.manifests["alpha"].GetDescription()
	b.owner.mu.Unlock()
	if !strings.Contains(environment, "GIVEN=value") || strings.Contains(environment, "MPUSH_SECRET") || strings.Contains(environment, "HOME=") {
		t.Errorf("environment:\n%s", environment)
	}
	b.stop(patience)
	want := []string{"alpha described", "alpha connect", "alpha declared", "alpha started", "alpha drained", "alpha eof"}
	if got := b.owner.noted(); !slices.Equal(got, want) {
		t.Errorf("events %q\nwant   %q", got, want)
	}
	if s := b.only(); s.State != Stopped || s.PID != 0 {
		t.Errorf("status %+v", s)
	}
	if err := syscall.Kill(s.PID, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the process is still there: %v", err)
	}
}

func TestPluginWithoutMTLSRunsIfThatIsAllowed(t *testing.T) {
	b := newBench(t, nil)
	s := spec(t, "alpha", plain)
	s.DisableMTLS = true
	b.start(s)
	if s := b.only(); s.State != Running {
		t.Errorf("status %+v", s)
	}
}

// A plugin with one of these vices runs all the same.
func TestBadOutputDisturbsNobody(t *testing.T) {
	for _, tt := range []struct {
		vice   string
		logged [][]string
	}{
		{panicLine, [][]string{{`stream=stderr text={"@message":1}`}}},
		{longLine, [][]string{{"stream=stderr text=xxxx", fmt.Sprintf("cut_bytes=%d", 10<<20-maxLineBytes)}}},
		{chatter, [][]string{{"stream=stdout text=Welcome to the plugin"}, {"stream=stdout text=a|b|c|d|e"}}},
		{prints, [][]string{{"stream=stdout text=printed to stdout"}, {"stream=stderr text=printed to stderr"}}},
		{records, [][]string{{"ERROR a record channel=alpha pid=", "count=12345678901234567", `group={"key":"value"}`}}},
	} {
		t.Run(tt.vice, func(t *testing.T) {
			b := newBench(t, nil)
			b.start(spec(t, "alpha", tt.vice))
			if s := b.only(); s.State != Running || s.Restarts != 0 {
				t.Errorf("status %+v", s)
			}
			for _, parts := range tt.logged {
				b.log.await(t, append(parts, "channel=alpha pid="+strconv.Itoa(b.only().PID))...)
			}
		})
	}
}

func TestFloodNeitherBlocksThePluginNorFillsTheLog(t *testing.T) {
	megabytes := 64
	if *long {
		megabytes = 1024
	}
	limit := 3 * time.Minute
	if *long {
		limit = time.Hour
	}
	b := newBench(t, func(o *Options) { o.Timeouts.Start = limit })
	began := time.Now()
	// It is running once it has written everything.
	if err := b.Start(t.Context(), []Spec{spec(t, "alpha", flood, floodMB+"="+strconv.Itoa(megabytes))}); err != nil {
		t.Fatal(err)
	}
	if s := b.only(); s.State != Running || s.Restarts != 0 {
		t.Errorf("status %+v", s)
	}
	b.stop(patience)
	b.log.await(t, "WARN plugin output was dropped")
	seconds := int(time.Since(began).Seconds()) + 1
	if most := outputBurst + seconds*(outputRate+4096) + 4096; b.log.size() > 2*most {
		t.Errorf("%d bytes were logged, want at most %d", b.log.size(), 2*most)
	}
	t.Logf("2 x %d MB in %v, %d bytes logged", megabytes, time.Since(began), b.log.size())
}

// A plugin with one of these vices is ended, tried again and named, and another
// channel runs meanwhile.
func TestBrokenPluginIsTriedAgainAndHurtsNobody(t *testing.T) {
	const brief = 100 * time.Millisecond
	patiently := func(t *Timeouts) { t.Grace = patience }
	for _, tt := range []struct {
		vice   string
		hurry  func(*Timeouts)
		reason string
	}{
		{noHandshake, func(t *Timeouts) { t.Handshake = time.Second }, "no handshake in time"},
		{deadSocket, nil, "describe: "},
		{foreignSocket, nil, "is not in the directory"},
		{plain, nil, "cannot do mTLS"},
		{exits, patiently, "exit status 3), its last words: the reason for it"},
		{exitsConfigure, patiently, "exit status 5), its last words: the config killed me"},
		{hangsDescribe, func(t *Timeouts) { t.Describe = brief }, "describe: no answer within 100ms"},
		{hangsConfigure, func(t *Timeouts) { t.Configure = brief }, "configure: no answer within 100ms"},
		{hangsDeclare, func(t *Timeouts) { t.Declare = brief }, "declare: not done within 100ms"},
		{hangsStart, func(t *Timeouts) { t.Start = brief }, "start: no answer within 100ms"},
		{grandchild, patiently, "exit status 4"},
	} {
		t.Run(tt.vice, func(t *testing.T) {
			good := newBench(t, nil)
			good.start(spec(t, "good", ""))
			b := newBench(t, func(o *Options) {
				if tt.hurry != nil {
					tt.hurry(&o.Timeouts)
				}
			})
			s := spec(t, "alpha", tt.vice)
			s.DisableMTLS = tt.vice == deadSocket || tt.vice == foreignSocket
			b.start(s)
			if s := b.only(); !strings.Contains(s.LastError, tt.reason) {
				t.Errorf("status %+v, want error %q", s, tt.reason)
			}
			b.await("restarted", func(s Status) bool { return s.State == Starting && s.Restarts >= 2 })
			if s := good.only(); s.State != Running || s.Restarts != 0 {
				t.Errorf("the other channel's status: %+v", s)
			}
		})
	}
}

func TestGrandchildInAnotherSessionDoesNotHideTheDeath(t *testing.T) {
	b := newBench(t, func(o *Options) {
		o.Backoff.Min, o.Backoff.Max = time.Hour, time.Hour
		o.Timeouts.Grace = patience
	})
	b.start(spec(t, "alpha", grandchildAway))
	if s := b.only(); s.State != Waiting || !strings.Contains(s.LastError, "exit status 4") {
		t.Errorf("status %+v", s)
	}
	line := b.log.await(t, "text=grandchild ")
	pid, err := strconv.Atoi(line[strings.LastIndex(line, " ")+1:])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("the grandchild is out of reach and should live: %v", err)
	}
}

func TestGrandchildInTheGroupDiesWithThePlugin(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Backoff.Min, o.Backoff.Max = time.Hour, time.Hour })
	b.start(spec(t, "alpha", grandchild))
	line := b.log.await(t, "text=grandchild ")
	pid, err := strconv.Atoi(line[strings.LastIndex(line, " ")+1:])
	if err != nil {
		t.Fatal(err)
	}
	awaitDeath(t, pid)
}

// awaitDeath waits for the end of a process that need not be a child.
func awaitDeath(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return // it is gone
	}
	defer unix.Close(fd)
	for deadline := time.Now().Add(patience); ; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Until(deadline).Milliseconds()))
		if n == 1 {
			return
		}
		if err != unix.EINTR || time.Now().After(deadline) {
			t.Fatalf("process %d lives on (%v)", pid, err)
		}
	}
}

func TestCheckAsksPluginsWithoutStartingThem(t *testing.T) {
	b := newBench(t, nil)
	b.start(spec(t, "alpha", "")) // is not disturbed by a check of itself
	results, err := b.Check(t.Context(), []Spec{
		spec(t, "alpha", ""), spec(t, "beta", misconfigured), spec(t, "gamma", exits), spec(t, "refused", ""),
	}, newOwner())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"", "port: got a text", "the reason for it", "a right is missing"} {
		r := results[i]
		if (r.Err == nil) != (want == "") || r.Err != nil && !strings.Contains(r.Err.Error(), want) {
			t.Errorf("%s: error %v, want %q", r.Channel, r.Err, want)
		}
	}
	if m := results[0].Manifest; m.GetName() != "test" {
		t.Errorf("manifest %v", m)
	}
	if s := b.only(); s.State != Running || s.Restarts != 0 {
		t.Errorf("status %+v", s)
	}
}

func TestCheckOfARunningSupervisorNeedsNoDirectoryForTemporaryFiles(t *testing.T) {
	b := newBench(t, nil)
	b.start()
	t.Setenv("TMPDIR", filepath.Join(b.dir, "missing"))
	for _, specs := range [][]Spec{nil, {spec(t, "alpha", "")}} {
		results, err := b.Check(t.Context(), specs, newOwner())
		if err != nil || len(results) != len(specs) {
			t.Fatalf("results %v, %v", results, err)
		}
		for _, r := range results {
			if r.Err != nil {
				t.Error(r.Err)
			}
		}
	}
	assertNoSockets(t, b.dir)
}

func TestCheckOfNothingNeedsNoDirectory(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing"))
	s := New(Options{RuntimeDir: "unused", Logger: slog.New(newJournal()), Handler: newOwner()})
	if results, err := s.Check(t.Context(), nil, newOwner()); err != nil || len(results) != 0 {
		t.Errorf("results %v, %v", results, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Check(ctx, nil, newOwner()); !errors.Is(err, context.Canceled) {
		t.Errorf("%v with a context that has ended", err)
	}
}
