package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mpush/core/engine"
	"mpush/core/message"
	"mpush/core/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// office is a Store and a Desk that answer as a test says.
type office struct {
	letters    []record.Queued
	dead       func(below message.MID, n int) []record.Queued // or letters
	accounts   []record.Account
	auditWhile func(context.Context) error // an audit that takes its time
	backup     func(path string) error
	// backupWhile is a backup that takes its time.
	backupWhile func(context.Context) error
	lend        func(name, group string) (string, error)
	answer      func(engine.Event) (engine.AnswerBody, error)
	asked       []string // of Dead
	names       []string // of receivers
	queues      map[string][]record.Queued
	channels    []Channel
	gone        []string // that were forgotten
}

func (o *office) Dead(_ context.Context, receiver string, below message.MID, n int) ([]record.Queued, error) {
	text, _ := json.Marshal([]any{receiver, below, n})
	o.asked = append(o.asked, string(text))
	if o.dead != nil {
		return o.dead(below, n), nil
	}
	if o.letters == nil {
		return nil, errors.New("unreadable")
	}
	return o.letters, nil
}

func (o *office) Audit(ctx context.Context) ([]record.Account, error) {
	if o.auditWhile != nil {
		return nil, o.auditWhile(ctx)
	}
	if o.accounts == nil {
		return nil, errors.New("unreadable")
	}
	return o.accounts, nil
}

func (o *office) Next(_ context.Context, receiver string, after record.Seq, n, _ int) ([]record.Queued, bool, error) {
	if after != 0 || n != 1 {
		return nil, false, errors.New("unexpected")
	}
	return o.queues[receiver], false, nil
}

func (o *office) Away(_ context.Context, before int64, after string, n int) (names []string, err error) {
	if before != math.MaxInt64 {
		return nil, errors.New("unexpected")
	}
	for _, name := range o.names {
		if name > after && len(names) < n {
			names = append(names, name)
		}
	}
	return names, nil
}

func (o *office) Backup(ctx context.Context, path string) error {
	if o.backupWhile != nil {
		return o.backupWhile(ctx)
	}
	return o.backup(path)
}

func (o *office) Ask(_ context.Context, event func(engine.LinkID, engine.RequestID) engine.Event) (engine.AnswerBody, error) {
	return o.answer(event(1, engine.RequestID{Number: 1}))
}

// open serves an office at a data directory until the test is over.
func open(t *testing.T, o *office, dir string) *Client {
	t.Helper()
	listener, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	server := Server{
		Store: o, Desk: o, Lend: o.lend, Log: slog.New(slog.DiscardHandler), Version: "1.2.3",
		Channels: func() []Channel {
			if o.channels != nil {
				return o.channels
			}
			return []Channel{{Name: "c", State: "running", PID: 7}}
		},
		Counts:    func() (uint64, uint64) { return 0, 0 },
		Forgotten: func(name string) { o.gone = append(o.gone, name) },
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, listener) }()
	client, err := NewClient(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return client
}

func text() *message.Message {
	return &message.Message{MID: 1596543210123, SendType: message.Group, Target: "family", FromMethod: "in", FromName: "bob",
		Text: "<a> & b", Desp: "d", Extra: []byte(`{"n":12345678901234567890}`), AcceptedAt: 1_596_543_210_000}
}

func letter() record.Queued {
	return record.Queued{Message: text(), Item: record.Item{Receiver: "ann", MID: 1596543210123, Seq: 3, State: record.Dead,
		Status: message.Status{Rank: message.Failed}, Tries: 2, SentAt: 1_596_543_211_000, EndedAt: 1_596_543_212_000, Reason: "rejected", Error: "why"}}
}

func TestWhatIsKnownComesThroughWhole(t *testing.T) {
	want := letter()
	o := &office{letters: []record.Queued{want}, answer: func(event engine.Event) (engine.AnswerBody, error) {
		switch ev := event.(type) {
		case *engine.Look:
			if ev.MID != 1596543210123 || ev.Link != 1 || ev.Request.Number != 1 {
				t.Errorf("asked %+v", ev)
			}
			return engine.Looked{Message: text(), Items: []record.Item{want.Item, {Receiver: "bob", Seq: 4}},
				Ways: [][]engine.Way{nil, {{Channel: "c", Up: true, InFlight: true, Attempt: 2, Next: 1_596_543_214_000}, {Channel: "d"}, {Channel: "e", Up: true}, {Channel: "f", Passed: true}, {Channel: "g", Up: true, Paused: true}}}}, nil
		case *engine.Survey:
			return engine.Surveyed{Receivers: 3, Routes: 2, Queued: 1, Failing: []engine.Failing{{Receiver: "ann", Channel: "c", Failures: 4, Next: 1_596_543_213_000, Error: "why"}}}, nil
		}
		return nil, errors.New("unexpected")
	}}
	c := open(t, o, t.TempDir())
	status, err := c.Status(t.Context())
	if err != nil || status.Receivers != 3 || status.Routes != 2 || status.Queued != 1 || len(status.Channels) != 1 || status.Channels[0].PID != 7 ||
		len(status.Failing) != 1 || status.Failing[0].Failures != 4 || !status.Failing[0].Next.Equal(time.UnixMilli(1_596_543_213_000)) {
		t.Errorf("%+v, %v", status, err)
	}
	trace, err := c.Trace(t.Context(), 1596543210123)
	if err != nil || len(trace.Deliveries) != 2 {
		t.Fatalf("%+v, %v", trace, err)
	}
	m, d := trace.Message, trace.Deliveries[0]
	if m.MID != 1596543210123 || m.SendType != "group" || m.Target != "family" || m.FromName != "bob" || m.Text != "<a> & b" ||
		string(m.Extra) != `{"n":12345678901234567890}` || !m.ExpiresAt.IsZero() || m.AcceptedAt.UnixMilli() != 1_596_543_210_000 {
		t.Errorf("%+v", m)
	}
	if d.Receiver != "ann" || d.State != "dead" || d.Status != "failed" || d.Reason != "rejected" || d.Error != "why" || d.Tries != 2 || d.EndedAt.UnixMilli() != 1_596_543_212_000 {
		t.Errorf("%+v", d)
	}
	var ways []string
	for _, way := range trace.Deliveries[1].Routes {
		ways = append(ways, way.Channel+" "+way.State)
	}
	if want := []string{"c in-flight", "d down", "e queued", "f passed", "g paused"}; !slices.Equal(ways, want) || !trace.Deliveries[1].Routes[0].Next.Equal(time.UnixMilli(1_596_543_214_000)) {
		t.Errorf("%+v", trace.Deliveries[1].Routes)
	}
	if d := trace.Deliveries[1]; d.State != "open" || d.Seq != 4 || !d.EndedAt.IsZero() || !d.SentAt.IsZero() {
		t.Errorf("%+v", d)
	}
	page, err := c.Dead(t.Context(), "ann & co", 9, 5)
	if err != nil || len(page.Letters) != 1 || !reflect.DeepEqual(page.Letters[0].Delivery, d) || page.Below != 1596543210123 {
		t.Errorf("%+v, %v", page, err)
	}
	o.letters = []record.Queued{}
	if page, err = c.Dead(t.Context(), "", 0, 0); err != nil || len(page.Letters) != 0 || page.Below != 0 {
		t.Errorf("%+v, %v", page, err)
	}
	// After a page it looks whether there is another.
	if want := []string{`["ann \u0026 co",9,5]`, `["ann \u0026 co",1596543210123,1]`, `["",0,100]`}; !slices.Equal(o.asked, want) {
		t.Errorf("asked %s", o.asked)
	}
}

func TestLettersAreReplayedAndDropped(t *testing.T) {
	var got []engine.Event
	o := &office{answer: func(event engine.Event) (engine.AnswerBody, error) {
		got = append(got, event)
		return engine.Done{}, nil
	}}
	c := open(t, o, t.TempDir())
	if err := errors.Join(c.Replay(t.Context(), Letter{5, "ann"}), c.Drop(t.Context(), Letter{6, "bob"})); err != nil {
		t.Fatal(err)
	}
	replay, _ := got[0].(*engine.Replay)
	drop, _ := got[1].(*engine.DropDead)
	if len(got) != 2 || replay == nil || replay.MID != 5 || replay.Receiver != "ann" || drop == nil || drop.MID != 6 || drop.Receiver != "bob" {
		t.Errorf("%+v", got)
	}
	var refused *Error
	for _, l := range []Letter{{0, "ann"}, {-1, "ann"}, {5, ""}} {
		if err := c.Replay(t.Context(), l); !errors.As(err, &refused) || refused.Status != http.StatusBadRequest {
			t.Errorf("%+v: %v", l, err)
		}
	}
	if len(got) != 2 {
		t.Errorf("a bad request reached the engine: %+v", got)
	}
}

func TestRefusalsHaveAStatusAndTheReason(t *testing.T) {
	var refusal error
	c := open(t, &office{answer: func(engine.Event) (engine.AnswerBody, error) { return nil, refusal }}, t.TempDir())
	for _, row := range []struct {
		err  error
		want int
	}{
		{&engine.Refusal{Code: engine.NotFound, Message: "why"}, 404}, {&engine.Refusal{Code: engine.Limit, Message: "why"}, 429},
		{&engine.Refusal{Code: engine.Invalid, Message: "why"}, 400}, {&engine.Refusal{Code: engine.Unavailable, Message: "why"}, 503}, {errors.New("why"), 500},
	} {
		refusal = row.err
		var got *Error
		if err := c.Replay(t.Context(), Letter{5, "ann"}); !errors.As(err, &got) || got.Status != row.want || got.Message != "why" {
			t.Errorf("%+v: %v", row.err, err)
		}
	}
	if _, err := c.Audit(t.Context()); err == nil || err.Error() != "unreadable" {
		t.Errorf("audit: %v", err)
	}
	if _, err := c.Dead(t.Context(), "", 0, 1); err == nil || err.Error() != "unreadable" {
		t.Errorf("dead: %v", err)
	}
}

func TestAuditAddsUpAndTellsWhatDoesNotBalance(t *testing.T) {
	o := &office{accounts: []record.Account{
		{Receiver: "ann", Accepted: 10, Acked: 4, HandedOff: 3, Dead: 2, Pending: 1}, {Receiver: "ann", Forgotten: true, Accepted: 2, Dead: 2},
	}}
	c := open(t, o, t.TempDir())
	audit, err := c.Audit(t.Context())
	if err != nil || !audit.Balanced || !audit.Total.Balanced || audit.Total.Accepted != 12 || audit.Total.Dead != 4 || !audit.Accounts[1].Forgotten {
		t.Errorf("%+v, %v", audit, err)
	}
	// Two faults that make up for one another are two faults.
	o.accounts = []record.Account{{Receiver: "ann", Accepted: 1}, {Receiver: "bob", Pending: 1}}
	if audit, err = c.Audit(t.Context()); err != nil || audit.Balanced || audit.Total.Balanced || audit.Accounts[0].Balanced {
		t.Errorf("%+v, %v", audit, err)
	}
	o.accounts = []record.Account{}
	if audit, err = c.Audit(t.Context()); err != nil || !audit.Balanced {
		t.Errorf("of nobody: %+v, %v", audit, err)
	}
}

func TestBackupNeedsAPathThatIsFree(t *testing.T) {
	o := &office{backup: func(path string) error { return os.WriteFile(path, []byte("whole"), 0o600) }}
	c := open(t, o, t.TempDir())
	path := filepath.Join(t.TempDir(), "copy.db")
	if backup, err := c.Backup(t.Context(), path); err != nil || backup.Path != path || backup.Bytes != 5 {
		t.Errorf("%+v, %v", backup, err)
	}
	o.backup = func(path string) error { return &fs.PathError{Op: "open", Path: path, Err: fs.ErrExist} }
	var refused *Error
	if _, err := c.Backup(t.Context(), path); !errors.As(err, &refused) || refused.Status != http.StatusConflict || !strings.Contains(refused.Message, path) {
		t.Errorf("%v", err)
	}
	if _, err := c.Backup(t.Context(), "copy.db"); !errors.As(err, &refused) || refused.Status != http.StatusBadRequest {
		t.Errorf("%v", err)
	}
}

func TestAPIRefusesWhatItDoesNotKnow(t *testing.T) {
	handler := (&Server{Store: &office{letters: []record.Queued{}}, Desk: &office{answer: func(engine.Event) (engine.AnswerBody, error) { return engine.Done{}, nil }}}).Handler()
	for _, row := range []struct {
		method, target, body string
		status               int
		says                 string
	}{
		{"GET", "/", "", 404, "GET /"}, {"GET", "/v2/status", "", 404, "/v2/status"}, {"GET", "/v1/dead/replay", "", 404, "GET /v1/dead/replay"},
		{"GET", "/v1/messages/x", "", 400, `\"x\" is no mid`}, {"GET", "/v1/messages/0", "", 400, "no mid"}, {"GET", "/v1/messages/99999999999999999999", "", 400, "no mid"},
		{"POST", "/v1/messages", `{"target":"a","sendType":"all"}`, 400, "sendType"}, {"POST", "/v1/messages", `{"target":"a","extra":[]}`, 400, "extra"},
		{"POST", "/v1/messages", `{"target":"a","waitMs":-1}`, 400, "waitMs"}, {"POST", "/v1/messages", `{"target":"a","idempotencyKey":"\n"}`, 400, "idempotencyKey"},
		{"POST", "/v1/messages", `{"target":"a","token":"x"}`, 400, "token"}, {"GET", "/v1/receivers?limit=1001", "", 400, "limit"},
		{"GET", "/v1/dead?limit=0", "", 400, "limit"}, {"GET", "/v1/dead?limit=1001", "", 400, "limit"}, {"GET", "/v1/dead?limit=x", "", 400, "limit"},
		{"GET", "/v1/dead?below=x", "", 400, "no mid"}, {"GET", "/v1/dead?below=-5", "", 400, "no mid"},
		{"POST", "/v1/dead/replay", "", 400, "not as expected"}, {"POST", "/v1/dead/replay", `{"mid":5`, 400, "not as expected"},
		{"POST", "/v1/dead/replay", `{"mid":"x","receiver":"a"}`, 400, "not as expected"}, {"POST", "/v1/dead/drop", `{"mid":"5","receiver":"a","all":true}`, 400, "all"},
		{"POST", "/v1/backup", `{"path":"` + strings.Repeat("x", maxRequest) + `"}`, 413, "more than 65536 bytes"},
	} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(row.method, row.target, strings.NewReader(row.body)))
		body, _ := io.ReadAll(w.Body)
		if w.Code != row.status || !strings.HasPrefix(string(body), `{"error":"`) || !strings.Contains(string(body), row.says) {
			t.Errorf("%s %s %.40s: %d %s", row.method, row.target, row.body, w.Code, body)
		}
	}
}
