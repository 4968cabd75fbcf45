package supervisor

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"testing"
	"time"
)

func TestStopReturnsInTimeWhateverPluginsDo(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Timeouts.Drain, o.Timeouts.Exit = 6*time.Second, 2*time.Second })
	b.start(spec(t, "hangs", hangsStop), spec(t, "slow", slowStop), spec(t, "stays", ignoresStdin), spec(t, "good", ""))
	var pids []int
	for _, s := range b.Status() {
		pids = append(pids, s.PID)
	}
	began := time.Now()
	b.stop(patience)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is still there: %v", pid, err)
		}
	}
	for _, channel := range []string{"slow", "stays", "good"} {
		if !slices.Contains(b.owner.noted(), channel+" drained") {
			t.Errorf("%s did not drain: %q\n%s", channel, b.owner.noted(), b.log)
		}
	}
	b.log.await(t, "channel did not drain", "channel=hangs", "no answer within 6s")
}

func TestStopKillsWhenItsContextEnds(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Timeouts.Drain = time.Hour })
	b.start(spec(t, "alpha", hangsStop))
	pid := b.only().PID
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		b.Stop(ctx)
	}()
	cancel()
	select {
	case <-stopped:
	case <-time.After(patience):
		t.Fatal("Stop did not return")
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the process is still there: %v", err)
	}
}

func TestStopDuringStartEndsEverything(t *testing.T) {
	for _, vice := range []string{noHandshake, hangsDescribe, hangsConfigure, hangsDeclare, hangsStart} {
		t.Run(vice, func(t *testing.T) {
			b := newBench(t, nil)
			started := make(chan error, 1)
			go func() { started <- b.Start(t.Context(), []Spec{spec(t, "alpha", vice)}) }()
			if vice == noHandshake {
				b.awaitState(Starting)
			} else {
				b.await("a process", func(s Status) bool { return s.PID != 0 })
			}
			b.stop(patience)
			if err := <-started; err != nil {
				t.Error(err)
			}
			if s := b.only(); s.State != Stopped || s.PID != 0 {
				t.Errorf("status %+v", s)
			}
		})
	}
}

func TestRemovedChannelCanBeStartedAnew(t *testing.T) {
	b := newBench(t, nil)
	b.start(spec(t, "alpha", ""), spec(t, "beta", ""))
	other := b.Status()[1].PID
	if err := b.Start(t.Context(), []Spec{spec(t, "alpha", "")}); err == nil {
		t.Error("a running channel was started again")
	}
	b.Remove(t.Context(), "alpha", "nobody")
	if s := b.only(); s.Channel != "beta" {
		t.Errorf("status %+v", s)
	}
	b.start(spec(t, "alpha", ""))
	all := b.Status()
	if all[0].State != Running || all[0].Restarts != 0 || all[1].PID != other {
		t.Errorf("statuses %+v", all)
	}
}

func TestStoppedSupervisorStartsNothing(t *testing.T) {
	b := newBench(t, nil)
	b.stop(patience)
	if err := b.Start(t.Context(), []Spec{spec(t, "alpha", "")}); err == nil {
		t.Error("it did")
	}
}
