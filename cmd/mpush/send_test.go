package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"mpush/core/control"
)

func TestVerdictTellsInTimeFromNever(t *testing.T) {
	for _, row := range []struct {
		now    []progress
		unseen error
		code   int
		says   string
	}{
		{[]progress{{Status: "ok", Final: true}}, nil, 0, ""},
		{[]progress{{Status: "ok", Final: true}, {Status: "wait"}}, nil, 3, "1 of 2 within 1s: the message stays"},
		{[]progress{{Status: "failed", Final: true}, {Status: "ready"}}, nil, 3, "2 of 2 within"},
		{[]progress{{Status: "webpush-ok", Final: true}}, nil, 3, "not delivered to 1 of 1"},
		{[]progress{{Status: "webpush-ok"}, {Status: "file-ok-comfirm"}}, nil, 3, "not acknowledged by 2 of 2 within 1s: another service"},
		{[]progress{{Status: "webpush-ok"}, {Status: "ready"}}, nil, 3, "stays in the queue"},
		{[]progress{{Status: "ok", Final: true}, {Status: "wait"}}, errors.New("gone"), 3, "is accepted, but what becomes of it can not be asked: gone"},
		{[]progress{{Status: "failed", Final: true}}, errors.New("gone"), 3, "not delivered to 1 of 1"},
	} {
		err := verdict(row.now, time.Second, row.unseen)
		if row.code == 0 {
			if err != nil {
				t.Errorf("%+v: %v", row.now, err)
			}
		} else if err == nil || exitCode(err) != row.code || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%+v: %v", row.now, err)
		}
	}
}

func TestSendWaitsThroughFailuresAndTellsWhatIsAccepted(t *testing.T) {
	for _, row := range []struct {
		name    string
		answers []string // of the looks, a status and a body; the last is repeated
		code    int
		prints  string
		says    string
	}{
		{"a failure that passes", []string{`503 {"cmd":"ERROR","data":"stopping"}`, `502 <html>`, `200 {"cmd":"MESSAGE_REPLY","data":{"mid":"1","status":{"ann":"ok"}}}`}, 0, `"status": "ok"`, ""},
		{"no such page", []string{`404 <html>`}, 3, `"mid": "1700000000000000"`, "is accepted, but what becomes of it can not be asked: http://127.0.0.1"},
		{"a refusal", []string{`403 {"cmd":"ERROR","data":"not yours"}`}, 3, `"mid": "1700000000000000"`, "is accepted, but what becomes of it can not be asked: not yours"},
	} {
		t.Run(row.name, func(t *testing.T) {
			looks := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					io.WriteString(w, `{"cmd":"MESSAGE_REPLY","data":{"mid":"1700000000000000","status":{"ann":"ready"}}}`)
					return
				}
				code, body, _ := strings.Cut(row.answers[min(looks, len(row.answers)-1)], " ")
				looks++
				status, _ := strconv.Atoi(code)
				w.WriteHeader(status)
				io.WriteString(w, body)
			}))
			defer server.Close()
			out, err := runs(t, "send", "ann", "hi", "--server", server.URL, "--wait=5m", "--json")
			code, says := 0, ""
			if err != nil {
				code, says = exitCode(err), err.Error()
			}
			if code != row.code || !strings.Contains(out, row.prints) || !strings.Contains(says, row.says) {
				t.Errorf("exit code %d, %q\n%s", code, says, out)
			}
		})
	}
}

func TestSendDoesNotGuessWhatARelayThatHangsHasDone(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			io.WriteString(w, `{"cmd":"MESSAGE_REPLY","data":{"mid":"1700000000000000","status":{"ann":"ready"}}}`)
			return
		}
		<-r.Context().Done()
	}))
	defer server.Close()
	_, err := runs(t, "send", "ann", "hi", "--server", server.URL, "--wait=5s")
	if err == nil || exitCode(err) != exitNotDelivered || !strings.Contains(err.Error(), "what becomes of it can not be asked") {
		t.Errorf("%v", err)
	}
}

func TestSendFollowsNoRedirect(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			http.Redirect(w, r, "https://push.example.org"+r.URL.Path+"?secret", http.StatusMovedPermanently)
			return
		}
		t.Errorf("%s %s", r.Method, r.URL)
	}))
	defer server.Close()
	_, err := runs(t, "send", "ann", "hi", "--server", server.URL)
	if want := server.URL + " redirects to https://push.example.org: name that with --server"; err == nil || exitCode(err) != exitFailed || err.Error() != want {
		t.Errorf("%v", err)
	}
}

func TestStatusesThatDoNotChangeAreNotPrintedAgain(t *testing.T) {
	var out bytes.Buffer
	w := newWatch(&out, false)
	w.begin(7)
	for _, status := range []string{"ready", "ready", "wait", "ok"} {
		w.show([]progress{{Receiver: "a\x1b[2J", Status: status}, {Receiver: "bob", Status: "ready"}})
	}
	const want = "mid 7\na [2J  ready\nbob    ready\na [2J  wait\na [2J  ok\n"
	if out.String() != want {
		t.Errorf("%q", out.String())
	}
}

func TestScreenDrawsOverWhatItHasShown(t *testing.T) {
	var out bytes.Buffer
	s := screen{out: &out}
	s.show([]string{"a", "b"})
	s.show([]string{"c"})
	const want = cutLines + "\r\x1b[2Ka\n\r\x1b[2Kb\n" + breakLines + cutLines + "\x1b[2A\r\x1b[2Kc\n\x1b[2K\n\x1b[1A" + breakLines
	if out.String() != want {
		t.Errorf("%q", out.String())
	}
}

func TestLinesThatDoNotFitTheScreenAreCounted(t *testing.T) {
	lines := []string{"a", "b", "c", "d", "e"}
	for rows, want := range map[int]string{0: "abcde", 2: "abcde", 3: "aand 4 more lines", 5: "abcand 2 more lines", 6: "abcde"} {
		if got := strings.Join(fitting(lines, rows), ""); got != want {
			t.Errorf("%d rows: %q", rows, got)
		}
	}
}

func TestTraceTellsWhereAnOpenMessageIs(t *testing.T) {
	at := func(ms int64) control.Time { return control.At(time.UnixMilli(ms)) }
	trace := control.Trace{Message: control.Message{MID: 7, AcceptedAt: at(1_000)}, Deliveries: []control.Delivery{{
		Receiver: "a", State: "open", Status: "wait", Seq: 4, Tries: 3, SentAt: at(1_500), Error: "refused",
		Routes: []control.Way{{Channel: "hook", State: "paused", Attempt: 3, Next: at(9_000)}, {Channel: "sock", State: "down"}, {Channel: "push", State: "passed"}},
	}}}
	var out bytes.Buffer
	printTrace(&out, &trace)
	for _, part := range []string{
		"place 4 in the queue", "sent for the first time, 500ms after it was accepted", "3 attempts in all", "the last failure: refused",
		"hook: attempt 3 failed, the next is at " + instant(at(9_000)), "sock: the receiver is away", "push: done with it here",
	} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("it does not say %q:\n%s", part, out.String())
		}
	}
}
