package e2e

import (
	"bufio"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"mpush/test/harness"
)

func TestAcceptedMessagesOutliveTheCore(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*harness.Relay, *testing.T){
		"asked to stop": func(r *harness.Relay, t *testing.T) { r.Stop(t) },
		"killed":        func(r *harness.Relay, t *testing.T) { r.Kill(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			relay := harness.Start(t, harness.FixedPorts(t))
			phone, tablet := relay.Member(t, "phone", "all"), relay.Member(t, "tablet", "all")

			acked := relay.Begin(t, harness.Request{Target: "/phone.send?text=acked"})
			phone.Take(t, "acked")
			last := acked().ExpectStatuses(t, statuses{"phone": "ok"})

			// Of three messages the first is in flight. Then the phone leaves, and
			// one more comes, for the tablet too, which has seen it when the core
			// ends.
			var mids []string
			for _, text := range []string{"one", "two", "three"} {
				reply := relay.Do(t, harness.Request{Target: "/phone.send?text=" + text, Header: []string{"Prefer: wait=0"}})
				mids = append(mids, reply.Expect(t, 200, `{"cmd":"MESSAGE_REPLY","data":{"mid":"<mid>","status":{"phone":"<status>"},"phone":"<status>"}}`)["mid"])
			}
			phone.ExpectText(t, "one")
			phone.Close()
			reply := relay.Do(t, harness.Request{Target: "/all.group?text=four", Header: []string{"Prefer: wait=0"}})
			mids = append(mids, reply.Expect(t, 200, `{"cmd":"MESSAGE_REPLY","data":{"mid":"<mid>",
				"status":{"phone":"ready","tablet":"<tablet>"},"phone":"ready","tablet":"<tablet>"}}`)["mid"])
			tablet.ExpectText(t, "four")

			end(relay, t)
			relay.Start(t)

			phone = relay.Member(t, "phone", "all")
			for i, text := range []string{"one", "two", "three", "four"} {
				if got := phone.Take(t, text); got != mids[i] {
					t.Errorf("%s has the mid %s, it had %s", text, got, mids[i])
				}
				last = increasing(t, last, mids[i])
			}
			phone.ExpectNothing(t)
			if got := relay.Member(t, "tablet", "all").Take(t, "four"); got != mids[3] {
				t.Errorf("four has the mid %s for the tablet, not %s", got, mids[3])
			}
			answer := relay.Begin(t, harness.Request{Target: "/phone.send?text=five"})
			increasing(t, last, phone.Take(t, "five"))
			answer().ExpectStatuses(t, statuses{"phone": "ok"})
		})
	}
}

// increasing checks that a mid is greater than the one before, and returns it.
func increasing(t *testing.T, before, mid string) string {
	t.Helper()
	a, errA := strconv.ParseInt(before, 10, 64)
	b, errB := strconv.ParseInt(mid, 10, 64)
	if errA != nil || errB != nil || b <= a {
		t.Errorf("mid %s does not follow %s", mid, before)
	}
	return mid
}

// A data directory that has seen the future is what a clock leaves that is set
// back while the relay is down.
func TestMIDsIncreaseThoughTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, harness.FixedPorts(t))
	relay.Away(t, "phone", "")
	send := harness.Request{Target: "/phone.send?text=x", Header: []string{"Prefer: wait=0"}}
	first := relay.Do(t, send).ExpectStatuses(t, statuses{"phone": "ready"})
	relay.Stop(t)

	db, err := sql.Open("sqlite", filepath.Join(relay.Dir, "data", "mpush.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const day = 24 * 60 * 60 * 1000
	var future int64
	if err := db.QueryRow(`UPDATE meta SET value = value + ? WHERE key = 'last_mid' RETURNING value`, day).Scan(&future); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	relay.Start(t)
	for range 3 {
		future++
		mid := relay.Do(t, send).ExpectStatuses(t, statuses{"phone": "ready"})
		if mid != strconv.FormatInt(future, 10) {
			t.Errorf("mid %s, expected %d", mid, future)
		}
	}
	phone := relay.Receiver(t, "phone")
	if got := phone.Take(t, "x"); got != first {
		t.Errorf("mid %s came first, not %s", got, first)
	}
	last := first
	for range 3 {
		last = increasing(t, last, phone.Take(t, "x"))
	}
}

func TestSessionsOutliveTheCoreAndEndWithTheTokenOrTheSecret(t *testing.T) {
	t.Parallel()
	config := with(harness.FixedPorts(t), harness.Object{
		"webhook": harness.Object{"enabled": false}, "webpush": harness.Object{"enabled": false},
	})
	relay := harness.Start(t, config)
	auth := relay.Dial(t).Auth(t, relay.Token, "phone", "")
	callback := `{"cmd":"MESSAGE_CALLBACK","data":{"mid":"1"},"auth":"` + auth + `"}`
	relay.PostJSON(t, "/", callback).ExpectInfo(t, 200, "ok")

	restart := func(token string) {
		t.Helper()
		relay.Stop(t)
		config["token"] = token
		text, err := json.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		relay.Configure(t, string(text))
		relay.Start(t)
	}
	restart(relay.Token)
	relay.PostJSON(t, "/", callback).ExpectInfo(t, 200, "ok")
	restart("another-" + relay.Token[:12])
	relay.PostJSON(t, "/", callback).ExpectInfo(t, 401, "auth")
	restart(relay.Token)
	relay.PostJSON(t, "/", callback).ExpectInfo(t, 200, "ok")
	if err := os.Remove(filepath.Join(relay.Dir, "data", "secret")); err != nil {
		t.Fatal(err)
	}
	restart(relay.Token)
	relay.PostJSON(t, "/", callback).ExpectInfo(t, 401, "auth")
}

func TestSocketsAreToldThatTheServerStops(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, nil)
	phone := relay.Receiver(t, "phone")
	answer := relay.Begin(t, harness.Request{Target: "/phone.send?text=unfinished"})
	mid := phone.ExpectText(t, "unfinished")
	relay.Stop(t)
	if got := answer().ExpectStatuses(t, statuses{"phone": "wait"}); got != mid {
		t.Errorf("the waiting sender is told of %s, not %s", got, mid)
	}
	if code := phone.ExpectEnd(t); code != 1001 {
		t.Errorf("close code %d, expected 1001", code)
	}
}

// "mpush serve 2>&1 | tee log", and Ctrl-C, which ends tee first.
func TestRelayWhoseLogNobodyReadsStopsInGoodOrder(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	never := make(chan struct{})
	defer close(never)
	e.from(answer{until: never})
	relay := harness.New(t, harness.Object{"webhook": hooks(60_000, e.client("wh1"))})
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	core := exec.Command(harness.Program(t, "mpush"), "serve", "--config", "config.json", "--data", "data")
	core.Dir, core.Stdout, core.Stderr = relay.Dir, write, write
	err = harness.Child(core)
	write.Close()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = core.Wait() // the exit code is in ProcessState
	}()
	defer func() {
		_ = core.Process.Kill()
		<-ended
	}()
	address := ""
	late := time.AfterFunc(harness.Patience, func() { _ = core.Process.Kill() })
	defer late.Stop()
	for lines := bufio.NewScanner(read); lines.Scan() && lines.Text() != "Stop with Ctrl-C."; {
		if fields := strings.Fields(lines.Text()); len(fields) > 1 && fields[0] == "http" {
			address = fields[1]
		}
	}
	if !late.Stop() || address == "" {
		t.Fatal("the relay did not start")
	}
	transport := &http.Transport{DisableKeepAlives: true}
	answered := make(chan string, 1)
	go func() {
		reply, err := (&http.Client{Transport: transport}).Get("http://" + address + "/wh1.send?text=hi")
		if err != nil {
			answered <- err.Error()
			return
		}
		defer reply.Body.Close()
		body, err := io.ReadAll(reply.Body)
		answered <- fmt.Sprint(reply.StatusCode, " ", string(body), err)
	}()
	e.next() // the sender waits
	read.Close()
	_ = core.Process.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(harness.Patience):
		t.Fatal("the relay does not stop")
	}
	if !core.ProcessState.Success() {
		t.Errorf("the relay ended with %v", core.ProcessState)
	}
	if got := <-answered; !strings.HasPrefix(got, `200 {"cmd":"MESSAGE_REPLY",`) || !strings.Contains(got, `"wh1":"wait"`) {
		t.Errorf("the sender got %s", got)
	}
}
