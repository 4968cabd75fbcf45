package webhook

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

// stateOf is what the channel keeps, for its next life.
func stateOf(b bench) map[string]string {
	state := map[string]string{}
	for key, value := range b.State() {
		state[key] = string(value)
	}
	return state
}

func TestAClientThatAnswers410IsDisabledUntilItsURLChanges(t *testing.T) {
	e := listen(t, answering(http.StatusGone))
	long := strings.Repeat("x", 256)
	config := func(path string) string {
		return clientsOf(clientOf(long, e.URL+path+private), clientOf("other", e.URL+"/other", `"method":"GET"`))
	}
	b := start(t, config("/a?key="), plugintest.Options{})
	b.Deliver(long, &pluginpb.Message{Text: private})
	if got := b.expect(t, retry); got != errDisabled.Error() {
		t.Errorf("error %q", got)
	}
	e.next(t)
	if lines := b.logs.lines("WARN", long); len(lines) != 1 || !strings.Contains(lines[0], howToEnable) {
		t.Errorf("logged %q", lines)
	}
	if err := b.Health(); err == nil || err.Error() != fmt.Sprintf("%q is disabled, since it answered 410", long) {
		t.Errorf("health %v", err)
	}
	state := stateOf(b)
	if len(state) != 1 || strings.Contains(fmt.Sprint(state), private) {
		t.Fatalf("state %v", state)
	}
	for key, value := range state {
		if !strings.HasPrefix(key, "disabled/") || len(key) > 256 || !json.Valid([]byte(value)) {
			t.Errorf("state %s: %s", key, value)
		}
	}
	b.Stop()

	// The next life knows.
	b = start(t, config("/a?key="), plugintest.Options{State: state})
	for _, name := range []string{long, "other"} {
		if _, declared := b.Group(name); !declared {
			t.Errorf("%s has lost its name", name)
		}
	}
	b.Deliver(long, &pluginpb.Message{Text: private})
	if got := b.expect(t, retry); got != errDisabled.Error() {
		t.Errorf("error %q", got)
	}
	e.quiet(t)
	if lines := b.logs.lines("WARN", long); len(lines) != 1 || !strings.Contains(lines[0], howToEnable) {
		t.Errorf("logged %q", lines)
	}
	if b.Health() == nil {
		t.Error("a disabled client is well")
	}
	b.Stop()

	// Another url is another endpoint.
	b = start(t, config("/b?key="), plugintest.Options{State: state})
	if _, declared := b.Group(long); !declared || len(b.State()) != 0 || b.Health() != nil {
		t.Errorf("declared %v, state %v, health %v", declared, b.State(), b.Health())
	}
}

func TestNotesOfClientsThatLeftAreForgotten(t *testing.T) {
	e := listen(t, answering(http.StatusGone))
	b := start(t, clientsOf(clientOf("a", e.URL), clientOf("b", e.URL), clientOf("c", e.URL)), plugintest.Options{})
	for _, name := range []string{"a", "b", "c"} {
		b.Deliver(name, &pluginpb.Message{})
		b.expect(t, retry)
	}
	state := stateOf(b)
	state["disabled/odd"] = "not JSON"
	state["disabled/other"] = `{"name":"a"}`
	state["else"] = "kept"
	b.Stop()
	b = start(t, clientsOf(clientOf("a", e.URL), clientOf("c", e.URL, `"method":"GET"`)), plugintest.Options{State: state})
	left := stateOf(b)
	if len(state) != 6 || len(left) != 2 || left["else"] != "kept" || left[b.plugin.clients["a"].disabledKey()] == "" {
		t.Errorf("of %v\nleft %v", state, left)
	}
}

// A disabled client may have messages on their way.
func TestADisabledClientIsNotAsked(t *testing.T) {
	e := listen(t, answering(http.StatusGone))
	b := start(t, clientsOf(clientOf("wh1", e.URL)), plugintest.Options{})
	for range 2 {
		b.Deliver("wh1", &pluginpb.Message{})
		b.expect(t, retry)
	}
	e.next(t)
	e.quiet(t)
}

func TestA410BehindARedirectDisablesNobody(t *testing.T) {
	e := listen(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/gone", http.StatusTemporaryRedirect)
			return
		}
		w.WriteHeader(http.StatusGone)
	})
	b := start(t, clientsOf(clientOf("wh1", e.URL)), plugintest.Options{})
	b.Deliver("wh1", &pluginpb.Message{})
	if got := b.expect(t, retry); got != "answered 410 Gone" || len(b.State()) != 0 {
		t.Errorf("error %q, state %v", got, b.State())
	}
}

func TestANoteThatCannotBeKeptIsSaid(t *testing.T) {
	e := listen(t, answering(http.StatusGone))
	b := start(t, clientsOf(clientOf("wh1", e.URL)), plugintest.Options{Answer: func(asked *pluginpb.PluginEnvelope) *pluginpb.CoreEnvelope {
		if asked.GetStatePut() == nil {
			return nil
		}
		return &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Done{Done: &pluginpb.Done{Error: &pluginpb.Error{Message: "disk full"}}}}
	}})
	b.Deliver("wh1", &pluginpb.Message{})
	b.expect(t, retry)
	if lines := b.logs.lines("WARN", "wh1"); len(lines) != 2 || !strings.Contains(lines[1], "disk full") {
		t.Errorf("logged %q", lines)
	}
}

func TestHealthNamesWhoFails(t *testing.T) {
	failing := true
	e := listen(t, func(w http.ResponseWriter, _ *http.Request) {
		if failing {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	var clients []string
	for i := range 8 {
		clients = append(clients, clientOf(fmt.Sprint("wh", i), e.URL))
	}
	b := start(t, clientsOf(clients...), plugintest.Options{})
	now := time.Date(2020, time.August, 4, 12, 0, 0, 0, time.UTC)
	b.plugin.now = func() time.Time { return now }
	deliver := func(kind pluginpb.OutcomeKind, names ...int) {
		t.Helper()
		for _, i := range names {
			b.Deliver(fmt.Sprint("wh", i), &pluginpb.Message{})
			b.expect(t, kind)
		}
	}
	expect := func(want string) {
		t.Helper()
		got := ""
		if err := b.Health(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	expect("")
	deliver(retry, 3)
	now = now.Add(time.Hour)
	deliver(retry, 3, 1)
	expect(`"wh1" is failing since 2020-08-04T13:00:00Z: answered 500 Internal Server Error; ` +
		`"wh3" is failing since 2020-08-04T12:00:00Z: answered 500 Internal Server Error`)
	deliver(retry, 0, 2, 4, 5, 6, 7)
	if err := b.Health(); err == nil || !strings.HasSuffix(err.Error(), "; and 3 more") || strings.Count(err.Error(), "failing") != 5 {
		t.Errorf("health %v", err)
	}
	failing = false
	deliver(acked, 0, 1, 2, 4, 5, 6, 7)
	expect(`"wh3" is failing since 2020-08-04T12:00:00Z: answered 500 Internal Server Error`)
	deliver(acked, 3)
	expect("")
}
