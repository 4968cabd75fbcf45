package core

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mpush/core/control"
	"mpush/core/message"
	"mpush/core/record"
	"mpush/core/store"
)

// prepared is a core whose data directory has a receiver that is away, and more.
func prepared(t *testing.T, more ...record.Op) (Options, *control.Client) {
	t.Helper()
	o := options(t, fmt.Sprintf(`{%q: {"host": "127.0.0.1", "port": 0}, %q: {"enabled": false}, "ops": {"listen": ""}}`, section(t, 0), section(t, 1)), io.Discard)
	if err := os.MkdirAll(o.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := store.OpenSQLite(t.Context(), filepath.Join(o.DataDir, "mpush.db"))
	if err != nil {
		t.Fatal(err)
	}
	err = s.Commit(t.Context(), append([]record.Op{&record.SaveReceiver{Receiver: record.Receiver{Name: "away"}}}, more...))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	client, err := control.NewClient(o.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return o, client
}

func TestStopAnswersTheOperatorsSendsWithTheStatusesOfTheMoment(t *testing.T) {
	o, client := prepared(t)
	_, stop := run(t, o)
	type answer struct {
		control.Sent
		err error
	}
	answered := make(chan answer, 1)
	go func() {
		sent, err := client.Send(context.Background(), control.Send{Target: "away", Text: "x", WaitMs: 60_000})
		answered <- answer{sent, err}
	}()
	waitFor(t, "the message", func() bool {
		receiver, err := client.Receiver(t.Context(), "away")
		return err == nil && receiver.Queued == 1
	})
	if err := stop(); err != nil {
		t.Error(err)
	}
	select {
	case a := <-answered:
		if a.err != nil || a.MID == 0 || a.Status["away"] != "ready" {
			t.Errorf("%+v", a)
		}
	case <-time.After(10 * time.Second):
		t.Error("no answer")
	}
}

func TestStopDuringABackupLeavesItWholeOrAbsent(t *testing.T) {
	var more []record.Op
	for mid := range message.MID(64) {
		more = append(more, &record.Put{Message: &message.Message{MID: mid + 1, Text: strings.Repeat("x", 1<<20)}, Receivers: []string{"away"}})
	}
	o, client := prepared(t, more...)
	_, stop := run(t, o)
	dir := t.TempDir()
	path := filepath.Join(dir, "copy.db")
	answered := make(chan error, 1)
	go func() {
		_, err := client.Backup(context.Background(), path)
		answered <- err
	}()
	waitFor(t, "the backup", func() bool {
		entries, err := os.ReadDir(dir)
		return err == nil && len(entries) > 0
	})
	began := time.Now()
	if err := stop(); err != nil || time.Since(began) > 2*drainTime {
		t.Errorf("ended after %s with %v", time.Since(began), err)
	}
	done := <-answered
	// A disk that is busy may have cut the request off: the copy ends after it.
	isWhole := false
	waitFor(t, "the end of the backup", func() bool {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		isWhole = len(entries) == 1 && entries[0].Name() == "copy.db"
		return isWhole || len(entries) == 0
	})
	switch {
	case done == nil && !isWhole:
		t.Fatal("it was said to be made")
	case !isWhole:
		return
	}
	copied, err := store.OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	if registry, err := copied.Load(t.Context()); err != nil || registry.LastMID != 64 {
		t.Errorf("%+v, %v", registry, err)
	}
}

func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}
