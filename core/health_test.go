package core

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"mpush/core/config"
	"mpush/core/engine"
	"mpush/core/message"
	"mpush/core/ops"
	"mpush/core/record"
	"mpush/core/relay"
	"mpush/core/store"
)

// hangingStore is a store whose disk a test may stop.
type hangingStore struct {
	*store.Memory
	disk    chan struct{} // full: it hangs
	commits int
}

func (h *hangingStore) Commit(ctx context.Context, ops []record.Op) error {
	h.disk <- struct{}{}
	<-h.disk
	h.commits++
	return h.Memory.Commit(ctx, ops)
}

func TestHealthNoticesADiskThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &hangingStore{Memory: store.NewMemory(), disk: make(chan struct{}, 1)}
		if err := db.Commit(t.Context(), []record.Op{&record.SaveReceiver{Receiver: record.Receiver{Name: "ann"}}}); err != nil {
			t.Fatal(err)
		}
		registry, err := db.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		log := slog.New(slog.DiscardHandler)
		c := &Core{
			log: log, options: Options{Config: &config.Config{}}, metrics: ops.NewMetrics("1"),
			relay: relay.New(engine.New(engine.Config{}, registry, nil), db, time.Now, log),
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- c.relay.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}()
		desk, err := c.relay.Desk(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.openOps(desk); err != nil {
			t.Fatal(err)
		}
		defer c.endpoint.Close()
		check := func(when string, want int) {
			t.Helper()
			began, answer := time.Now(), httptest.NewRecorder()
			c.endpoint.Handler.ServeHTTP(answer, httptest.NewRequest("GET", "http://localhost/healthz", nil))
			if took := time.Since(began); answer.Code != want || took > 5*time.Second {
				t.Errorf("%s: %d %s after %s", when, answer.Code, answer.Body, took)
			}
		}
		commits := db.commits
		check("idle", 200)
		if db.commits != commits {
			t.Error("looking whether it is well writes to the disk")
		}
		db.disk <- struct{}{}
		check("nothing to write", 200)
		sent := make(chan error, 1)
		go func() {
			_, err := desk.Ask(ctx, func(link engine.LinkID, request engine.RequestID) engine.Event {
				return &engine.Publish{Link: link, Request: request, FromMethod: "x", SendType: message.Personal, Target: "ann", Text: "x"}
			})
			sent <- err
		}()
		synctest.Wait()
		check("the disk hangs", 503)
		check("the disk still hangs", 503)
		<-db.disk
		if err := <-sent; err != nil {
			t.Error(err)
		}
		check("the disk is back", 200)
	})
}
