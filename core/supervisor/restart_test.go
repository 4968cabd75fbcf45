package supervisor

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestPluginThatDoesNotAnswerHealthIsRestarted(t *testing.T) {
	b := newBench(t, func(o *Options) {
		o.Timeouts.HealthEvery, o.Timeouts.Health = 20*time.Millisecond, 20*time.Millisecond
	})
	b.start(spec(t, "alpha", hangsHealth))
	b.awaitError("hung: it does not answer Health")
	b.await("restarted", func(s Status) bool { return s.State == Running && s.Restarts > 0 })
}

func TestStoppedProcessIsHungAndKilled(t *testing.T) {
	b := newBench(t, func(o *Options) {
		o.Timeouts.HealthEvery, o.Timeouts.Health = 20*time.Millisecond, 2*time.Second
	})
	b.start(spec(t, "alpha", ""))
	if err := syscall.Kill(b.only().PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	b.awaitError("hung")
	b.awaitState(Running)
}

func TestOwnerCanReportAPluginHung(t *testing.T) {
	b := newBench(t, nil)
	b.start(spec(t, "alpha", ""))
	before := b.only().PID
	b.Hung("nobody", "x")
	b.Hung("alpha", "its stream is blocked")
	b.awaitError("hung: its stream is blocked")
	s := b.awaitState(Running)
	if s.PID == before || s.Restarts != 1 {
		t.Errorf("status %+v", s)
	}
}

func TestKilledPluginThatWasReadyIsBackAtOnce(t *testing.T) {
	b := newBench(t, func(o *Options) {
		o.Backoff = Backoff{ReadyFor: time.Nanosecond, Min: time.Hour, Max: time.Hour}
		o.Timeouts.Grace = patience
	})
	b.start(spec(t, "alpha", ""))
	for restart := 1; restart <= 3; restart++ {
		began := time.Now()
		if err := syscall.Kill(b.only().PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if s := b.awaitState(Waiting); !strings.Contains(s.LastError, "signal: killed") {
			t.Errorf("status %+v", s)
		}
		if s := b.awaitState(Running); s.Restarts != restart {
			t.Errorf("status %+v", s)
		}
		t.Logf("back after %v", time.Since(began))
	}
}

func TestPluginThatDiesEarlyBacksOff(t *testing.T) {
	b := newBench(t, func(o *Options) {
		o.Timeouts.HealthEvery = 10 * time.Millisecond
		o.Backoff = Backoff{ReadyFor: time.Hour, Min: time.Millisecond, Max: time.Hour, Jitter: func() float64 { return 0 }}
	})
	b.start(spec(t, "alpha", exitsRunning))
	for _, pause := range []string{"1ms", "2ms", "4ms", "8ms"} {
		// At this pace two questions may go unanswered before its end is noticed:
		// why it failed is either.
		b.log.await(t, "channel failed", "restart_in="+pause)
	}
}

func TestWrongChecksumTakesTheChannelDown(t *testing.T) {
	b := newBench(t, nil)
	s := spec(t, "alpha", "")
	s.SHA256 = strings.Repeat("0", 64)
	b.start(s)
	if s := b.only(); s.State != Down || !strings.Contains(s.LastError, "checksum does not match: it is ") {
		t.Errorf("status %+v", s)
	}
}

func TestExecutableThatChangesBetweenStartsIsNotRunAgain(t *testing.T) {
	s := spec(t, "alpha", "")
	path := filepath.Join(shortDir(t), "plugin")
	s.SHA256 = copyProgram(t, s.Command, path)
	s.Command = path
	b := newBench(t, func(o *Options) { o.Backoff.ReadyFor = time.Nanosecond })
	b.start(s)
	if got := b.only(); got.State != Running {
		t.Fatalf("status %+v\n%s", got, b.log)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	copyProgram(t, "/bin/false", path)
	if err := syscall.Kill(b.only().PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if got := b.awaitState(Down); !strings.Contains(got.LastError, "checksum does not match") {
		t.Errorf("status %+v", got)
	}
}

func TestBadConfigurationIsNotTriedAgain(t *testing.T) {
	for _, tt := range []struct{ channel, vice, reason string }{
		{"alpha", misconfigured, "misconfigured: port: got a text, want a number"},
		{"refused", "", "misconfigured: a right is missing"},
	} {
		t.Run(tt.channel, func(t *testing.T) {
			b := newBench(t, nil)
			b.start(spec(t, tt.channel, tt.vice))
			s := b.only()
			if s.State != Misconfigured || s.LastError != tt.reason || s.PID != 0 {
				t.Errorf("status %+v", s)
			}
			if got := len(b.owner.diagnostics[tt.channel]); tt.vice == misconfigured && got != 2 {
				t.Errorf("%d diagnostics", got)
			}
		})
	}
}

func TestUnknownProtocolTakesTheChannelDown(t *testing.T) {
	for _, tt := range []struct {
		name, vice string
		core       uint32
		reason     string
	}{
		{"newer in Describe", newerProtocol, 1, "protocol is not served: the plugin speaks version 2, this core 1: upgrade mpush, or take an older release of the plugin"},
		{"older in the handshake", "", 3, "protocol is not served: the plugin speaks version 1, this core 3 or 2: upgrade the plugin"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, func(o *Options) { o.Protocol = tt.core })
			b.start(spec(t, "alpha", tt.vice))
			if s := b.only(); s.State != Down || s.LastError != tt.reason {
				t.Errorf("status %+v", s)
			}
		})
	}
}

func TestCoreServesTheVersionBeforeItsOwn(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Protocol = 2 })
	for _, vice := range []string{"", newerProtocol} { // answers 1, answers 2
		b.start(spec(t, "alpha"+vice, vice))
	}
	for _, s := range b.Status() {
		if s.State != Running {
			t.Errorf("status %+v", s)
		}
	}
}

func TestListenerThatCannotOpenIsAnErrorOfTheFirstStart(t *testing.T) {
	b := newBench(t, nil)
	bad := spec(t, "alpha", cannotListen)
	bad.Bundled = true
	err := b.Start(t.Context(), []Spec{bad, spec(t, "beta", "")})
	var failed *ListenError
	want := ListenFailure{Channel: "alpha", Reason: "127.0.0.1:1: address in use"}
	if !errors.As(err, &failed) || !slices.Equal(failed.Failures, []ListenFailure{want}) {
		t.Fatalf("error %v", err)
	}
	b.await("tried again", func(s Status) bool { return s.Channel == "alpha" && s.Restarts > 0 })
	if s := b.Status()[1]; s.Channel != "beta" || s.State != Running {
		t.Errorf("status %+v", s)
	}
}
