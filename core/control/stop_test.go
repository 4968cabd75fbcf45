package control

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"mpush/core/engine"
)

// stopping serves an office, and returns what ends that.
func stopping(t *testing.T, o *office, patience time.Duration) (client *Client, stop context.CancelFunc, ended <-chan error) {
	t.Helper()
	dir := t.TempDir()
	listener, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	server := Server{Store: o, Desk: o, Log: slog.New(slog.DiscardHandler), Counts: func() (uint64, uint64) { return 0, 0 }, patience: patience}
	ctx, stop := context.WithCancel(context.Background())
	serving := make(chan error, 1)
	go func() { serving <- server.Serve(ctx, listener) }()
	if client, err = NewClient(dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	t.Cleanup(stop)
	return client, stop, serving
}

func await[T any](t *testing.T, what string, from <-chan T) (got T) {
	t.Helper()
	select {
	case got = <-from:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: nothing within 20 s", what)
	}
	return got
}

func TestRequestThatIsUnderWayAtTheStopIsAnswered(t *testing.T) {
	asked, known := make(chan struct{}), make(chan struct{})
	client, stop, ended := stopping(t, &office{answer: func(engine.Event) (engine.AnswerBody, error) {
		close(asked)
		<-known
		return engine.Published{MID: 7}, nil
	}}, 20*time.Second)
	sent, failed := make(chan Sent, 1), make(chan error, 1)
	go func() {
		s, err := client.Send(context.Background(), Send{Target: "ann", WaitMs: 60_000})
		sent <- s
		failed <- err
	}()
	await(t, "the question", asked)
	stop()
	time.AfterFunc(50*time.Millisecond, func() { close(known) })
	if s, err := await(t, "the answer", sent), await(t, "the answer", failed); err != nil || s.MID != 7 {
		t.Errorf("%+v, %v", s, err)
	}
	if err := await(t, "the end", ended); err != nil {
		t.Error(err)
	}
}

func TestStopEndsABackupAndSaysSo(t *testing.T) {
	begun := make(chan struct{})
	client, stop, ended := stopping(t, &office{backupWhile: func(ctx context.Context) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	}}, 20*time.Second)
	failed := make(chan error, 1)
	go func() {
		_, err := client.Backup(context.Background(), "/copy.db")
		failed <- err
	}()
	await(t, "the backup", begun)
	stop()
	var refused *Error
	if err := await(t, "the answer", failed); !errors.As(err, &refused) || refused.Status != http.StatusServiceUnavailable {
		t.Errorf("%v", err)
	}
	if err := await(t, "the end", ended); err != nil {
		t.Error(err)
	}
}

func TestStopDoesNotWaitForEverForARequest(t *testing.T) {
	asked, known := make(chan struct{}), make(chan struct{})
	client, stop, ended := stopping(t, &office{answer: func(engine.Event) (engine.AnswerBody, error) {
		close(asked)
		<-known
		return nil, errors.New("too late")
	}}, 0)
	failed := make(chan error, 1)
	go func() {
		_, err := client.Send(context.Background(), Send{Target: "ann"})
		failed <- err
	}()
	await(t, "the question", asked)
	began := time.Now()
	stop()
	if err := await(t, "the end", ended); err != nil || time.Since(began) > 15*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	if err := await(t, "the answer", failed); err == nil {
		t.Error("it is answered")
	}
	close(known)
}

func TestReadEndsWhenWhoAskedLeaves(t *testing.T) {
	begun, left := make(chan struct{}), make(chan error)
	dir := t.TempDir()
	client := open(t, &office{auditWhile: func(ctx context.Context) error {
		begun <- struct{}{}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Second):
		}
		left <- ctx.Err()
		return errors.New("ended")
	}}, dir)
	for name, ask := range map[string]func(context.Context){
		"the command": func(ctx context.Context) { _, _ = client.Audit(ctx) },
		// Nobody reads the body of one that needs none.
		"one with a body": func(ctx context.Context) { _ = client.do(ctx, http.MethodGet, "/v1/audit", "x", &struct{}{}) },
	} {
		ctx, leave := context.WithCancel(context.Background())
		go ask(ctx)
		await(t, name, begun)
		leave()
		if err := await(t, name, left); err == nil {
			t.Errorf("%s: the read goes on", name)
		}
	}
}
