package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"mpush/sdk/pluginpb"
)

// fake is an instance without a process, for what is about time and order. Its
// fields say how it behaves; those that are nil behave well.
type fake struct {
	pluginpb.PluginClient // not called

	declare chan struct{} // declares when closed
	hangUp  chan struct{} // ends the stream when closed
	start   func(context.Context) (*pluginpb.StartResponse, error)
	health  func(context.Context) (*pluginpb.HealthResponse, error)

	die  func()
	done chan struct{}
}

func newFake() *fake {
	f := &fake{done: make(chan struct{})}
	f.die = sync.OnceFunc(func() { close(f.done) })
	return f
}

func (f *fake) rpc() pluginpb.PluginClient           { return f }
func (f *fake) pid() int                             { return 1 }
func (f *fake) exited() <-chan struct{}              { return f.done }
func (f *fake) exitError() error                     { return errors.New("it died") }
func (f *fake) close(context.Context, time.Duration) { f.die() }

func (f *fake) Describe(context.Context, *pluginpb.DescribeRequest, ...grpc.CallOption) (*pluginpb.DescribeResponse, error) {
	return &pluginpb.DescribeResponse{Protocol: 1}, nil
}

func (f *fake) Configure(context.Context, *pluginpb.ConfigureRequest, ...grpc.CallOption) (*pluginpb.ConfigureResponse, error) {
	return &pluginpb.ConfigureResponse{}, nil
}

func (f *fake) Start(ctx context.Context, _ *pluginpb.StartRequest, _ ...grpc.CallOption) (*pluginpb.StartResponse, error) {
	if f.start == nil {
		return &pluginpb.StartResponse{}, nil
	}
	return f.start(ctx)
}

func (f *fake) Health(ctx context.Context, _ *pluginpb.HealthRequest, _ ...grpc.CallOption) (*pluginpb.HealthResponse, error) {
	if f.health == nil {
		return &pluginpb.HealthResponse{Healthy: true}, nil
	}
	return f.health(ctx)
}

func (f *fake) Stop(context.Context, *pluginpb.StopRequest, ...grpc.CallOption) (*pluginpb.StopResponse, error) {
	return &pluginpb.StopResponse{}, nil
}

// fakeOwner serves the stream of a fake: it is declared when the fake says so.
type fakeOwner struct{ owner }

func (o *fakeOwner) Connect(ctx context.Context, _ string, client pluginpb.PluginClient, declared func()) error {
	f := client.(*fake)
	if f.declare != nil {
		select {
		case <-f.declare:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	declared()
	declared() // once more is harmless
	select {
	case <-ctx.Done():
	case <-f.done:
	case <-f.hangUp:
	}
	return errors.New("it broke")
}

// stage runs fakes in the bubble's time. launch makes a channel's next life;
// events are "second: channel STATE" for every change of state.
type stage struct {
	*Supervisor
	mu     sync.Mutex
	began  time.Time
	events []string
	last   map[string]State
}

func newStage(t *testing.T, launch func(channel string, life int) (*fake, error)) *stage {
	t.Helper()
	st := &stage{began: time.Now(), last: make(map[string]State)}
	st.Supervisor = New(Options{
		RuntimeDir: shortDir(t),
		Logger:     slog.New(newJournal()),
		Handler:    &fakeOwner{*newOwner()},
		Backoff:    Backoff{Jitter: func() float64 { return 0 }},
		OnChange:   st.changed,
	})
	lives := make(map[string]int)
	st.launch = func(_ context.Context, spec Spec) (instance, error) {
		st.mu.Lock()
		life := lives[spec.Channel]
		lives[spec.Channel]++
		st.mu.Unlock()
		f, err := launch(spec.Channel, life)
		if err != nil {
			return nil, err
		}
		return f, nil
	}
	return st
}

func (st *stage) changed(s Status) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.last[s.Channel] == s.State {
		return
	}
	st.last[s.Channel] = s.State
	st.events = append(st.events, fmt.Sprintf("%v %s %s", time.Since(st.began), s.Channel, s.State))
}

// wantAnyOrder is for channels that do the same at the same moment.
func (st *stage) wantAnyOrder(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	st.mu.Lock()
	slices.Sort(st.events)
	st.mu.Unlock()
	st.want(t, want...)
}

// want compares all events so far.
func (st *stage) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	st.mu.Lock()
	defer st.mu.Unlock()
	if !slices.Equal(st.events, want) {
		t.Errorf("events:\n%q\nwant:\n%q", st.events, want)
	}
}

func TestEarlyDeathsBackOffAndALongLifeRestartsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		readyFor := []time.Duration{0, 0, 4 * time.Second, 5 * time.Second, 0, time.Minute}
		st := newStage(t, func(_ string, life int) (*fake, error) {
			f := newFake()
			if life >= len(readyFor) {
				return f, nil
			}
			if readyFor[life] == 0 {
				return nil, errors.New("no start")
			}
			time.AfterFunc(readyFor[life], f.die)
			return f, nil
		})
		if err := st.Start(t.Context(), []Spec{{Channel: "a"}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Second)
		st.want(t,
			"0s a starting", "0s a backoff",
			"500ms a starting", "500ms a backoff",
			"1.5s a starting", "1.5s a running", "5.5s a backoff", // ready for 4 s: the third early death
			"7.5s a starting", "7.5s a running", "12.5s a backoff", // ready for 5 s: at once
			"12.5s a starting", "12.5s a backoff", // and counting begins anew
			"13s a starting", "13s a running", "1m13s a backoff",
			"1m13s a starting", "1m13s a running",
		)
		st.Stop(t.Context())
	})
}

func TestPausesDoubleUpToTheirMostAndJitterShortensThem(t *testing.T) {
	b := Backoff{Jitter: func() float64 { return 0 }}.withDefaults()
	var got []string
	for deaths := 0; deaths < 9; {
		var pause time.Duration
		pause, deaths = b.delay(b.ReadyFor-1, deaths)
		got = append(got, pause.String())
	}
	if want := "[500ms 1s 2s 4s 8s 16s 32s 1m0s 1m0s]"; fmt.Sprint(got) != want {
		t.Errorf("pauses %v, want %s", got, want)
	}
	if pause, deaths := b.delay(b.ReadyFor, 7); pause != 0 || deaths != 0 {
		t.Errorf("after a long life: %v, %d", pause, deaths)
	}
	b.Jitter = func() float64 { return 0.999 }
	if pause, _ := b.delay(0, 1_000_000); pause < 48*time.Second || pause > 49*time.Second {
		t.Errorf("with most jitter: %v", pause)
	}
}

func TestNoChannelStartsBeforeAllHaveDeclared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := make(chan struct{})
		st := newStage(t, func(channel string, _ int) (*fake, error) {
			f := newFake()
			switch channel {
			case "broken":
				return nil, errors.New("no start")
			case "slow":
				f.declare = slow
			}
			return f, nil
		})
		time.AfterFunc(3*time.Second, func() { close(slow) })
		if err := st.Start(t.Context(), []Spec{{Channel: "quick"}, {Channel: "slow"}}); err != nil {
			t.Fatal(err)
		}
		st.wantAnyOrder(t, "0s quick starting", "0s slow starting", "3s quick running", "3s slow running")
		st.Stop(t.Context())
	})
}

func TestBrokenChannelHoldsTheOthersNoLongerThanItsFirstFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, func(channel string, _ int) (*fake, error) {
			if channel == "broken" {
				time.Sleep(2 * time.Second)
				return nil, errors.New("no start")
			}
			return newFake(), nil
		})
		if err := st.Start(t.Context(), []Spec{{Channel: "quick"}, {Channel: "broken"}}); err != nil {
			t.Fatal(err)
		}
		st.wantAnyOrder(t, "0s broken starting", "0s quick starting", "2s broken backoff", "2s quick running")
		st.Stop(t.Context())
	})
}

func TestChannelsWaitForOneAnotherForABoundedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, func(channel string, _ int) (*fake, error) {
			if channel == "stuck" {
				time.Sleep(time.Minute)
			}
			return newFake(), nil
		})
		if err := st.Start(t.Context(), []Spec{{Channel: "quick"}, {Channel: "stuck"}}); err != nil {
			t.Fatal(err)
		}
		st.wantAnyOrder(t, "0s quick starting", "0s stuck starting", "1m0s stuck running", "45s quick running")
		st.Stop(t.Context())
	})
}

func TestStartReturnsWhenItsContextEndsAndTheChannelLivesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, func(string, int) (*fake, error) {
			time.Sleep(2 * time.Second)
			return newFake(), nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := st.Start(ctx, []Spec{{Channel: "a"}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		time.Sleep(2 * time.Second)
		st.want(t, "0s a starting", "2s a running")
		st.Stop(t.Context())
	})
}

func TestChannelThatStartsIsAwaitedByManyAndMayBeRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, func(string, int) (*fake, error) {
			f := newFake()
			f.start = func(ctx context.Context) (*pluginpb.StartResponse, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return f, nil
		})
		if err := st.Begin([]Spec{{Channel: "a"}}); err != nil {
			t.Fatal(err)
		}
		awaited := make(chan error, 2)
		for range 2 {
			go func() { awaited <- st.Await(t.Context(), "a") }()
		}
		synctest.Wait()
		if len(awaited) != 0 {
			t.Fatal("it has not started")
		}
		st.Remove(t.Context(), "a")
		for range 2 {
			if err := <-awaited; err != nil {
				t.Error(err)
			}
		}
		if err := st.Await(t.Context(), "a"); err != nil {
			t.Errorf("when it is gone: %v", err)
		}
		st.want(t, "0s a starting", "0s a stopped")
		st.Stop(t.Context())
	})
}

func TestTwoMissedAnswersInARowAreAHungPlugin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := map[int]bool{1: true, 3: true, 4: true} // questions, from 0
		question := 0
		st := newStage(t, func(_ string, life int) (*fake, error) {
			f := newFake()
			if life == 0 {
				f.health = func(ctx context.Context) (*pluginpb.HealthResponse, error) {
					question++
					if silent[question-1] {
						<-ctx.Done()
						return nil, ctx.Err()
					}
					return &pluginpb.HealthResponse{Healthy: true}, nil
				}
			}
			return f, nil
		})
		if err := st.Start(t.Context(), []Spec{{Channel: "a"}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		st.want(t, "0s a starting", "0s a running", "55s a backoff", "55s a starting", "55s a running")
		if got := st.Status()[0].LastError; got != "hung: it does not answer Health" {
			t.Errorf("error %q", got)
		}
		st.Stop(t.Context())
	})
}

func TestUnwellPluginRunsOnAndIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		var well atomic.Bool
		f.health = func(context.Context) (*pluginpb.HealthResponse, error) {
			return &pluginpb.HealthResponse{Healthy: well.Load(), Reason: "no route"}, nil
		}
		st := newStage(t, func(string, int) (*fake, error) { return f, nil })
		if err := st.Start(t.Context(), []Spec{{Channel: "a"}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(61 * time.Second)
		if s := st.Status()[0]; s.State != Running || s.Restarts != 0 || s.Unhealthy != "no route" {
			t.Errorf("status %+v", s)
		}
		well.Store(true)
		time.Sleep(10 * time.Second)
		if s := st.Status()[0]; s.Unhealthy != "" {
			t.Errorf("status %+v", s)
		}
		st.Stop(t.Context())
	})
}

func TestListenFailureOnARestartIsTriedAgainWithBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, func(_ string, life int) (*fake, error) {
			f := newFake()
			switch life {
			case 0:
				time.AfterFunc(10*time.Second, f.die)
			case 1, 2:
				f.start = func(context.Context) (*pluginpb.StartResponse, error) {
					return &pluginpb.StartResponse{Error: "in use", CannotListen: true}, nil
				}
			}
			return f, nil
		})
		if err := st.Start(t.Context(), []Spec{{Channel: "a"}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		st.want(t, "0s a starting", "0s a running", "10s a backoff", "10s a starting", "10s a backoff",
			"10.5s a starting", "10.5s a backoff", "11.5s a starting", "11.5s a running")
		if got := st.Status()[0].LastError; got != `channel "a" cannot listen: in use` {
			t.Errorf("error %q", got)
		}
		st.Stop(t.Context())
	})
}

func TestPluginWhoseStreamEndsIsRestarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t, func(_ string, life int) (*fake, error) {
			f := newFake()
			if life == 0 {
				f.hangUp = make(chan struct{})
				time.AfterFunc(9*time.Second, func() { close(f.hangUp) })
			}
			return f, nil
		})
		if err := st.Start(t.Context(), []Spec{{Channel: "a"}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		// It waits a little for a death that would explain it.
		st.want(t, "0s a starting", "0s a running", "9.5s a backoff", "9.5s a starting", "9.5s a running")
		if got := st.Status()[0].LastError; got != "the stream ended: it broke" {
			t.Errorf("error %q", got)
		}
		st.Stop(t.Context())
	})
}
