package nodeslack

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"mpush/test/foreign"
	"mpush/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.MainPlain(m, "cmd/mpush")) }

// needNode skips a test where the plugin can not run.
func needNode(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("there is no node: install Node.js 20.3 or newer")
	}
	if err := exec.Command("node", "-e", "process.exit(AbortSignal.any ? 0 : 1)").Run(); err != nil {
		t.Skip("node is too old: install Node.js 20.3 or newer")
	}
	if _, err := os.Stat("node_modules/@grpc/grpc-js/package.json"); err != nil {
		t.Skip("its modules are not installed: cd examples/node-slack && npm ci --ignore-scripts")
	}
}

// slack is a fake of Slack's side.
func slack(t *testing.T) *foreign.FarSide {
	return foreign.NewFarSide(t, func(body []byte) (string, error) {
		var payload struct{ Text string }
		err := json.Unmarshal(body, &payload)
		if err == nil && payload.Text == "" {
			err = errors.New("no text")
		}
		return payload.Text, err
	})
}

// entry is the plugin's, with a webhook on the far side for each name.
func entry(t *testing.T, far *foreign.FarSide, names ...string) harness.Object {
	t.Helper()
	path, err := filepath.Abs("index.js")
	if err != nil {
		t.Fatal(err)
	}
	clients := []any{}
	for _, name := range names {
		clients = append(clients, harness.Object{"name": name, "group": "slack-users", "url": "http://" + far.Host() + "/" + name})
	}
	return harness.Object{
		"path": path, "unpinned": true, "mtls": false,
		"config": harness.Object{"clients": clients, "retryTimeout": 100, "timeout": 30_000},
	}
}

func start(t *testing.T, plugin harness.Object) *harness.Relay {
	t.Helper()
	r := harness.Start(t, harness.Object{"plugins": harness.Object{"slack": plugin}})
	foreign.Running(t, r, "slack")
	return r
}

func TestUnitTestsPass(t *testing.T) {
	needNode(t)
	if out, err := exec.Command("node", "--test").CombinedOutput(); err != nil {
		t.Errorf("node --test: %v\n%s", err, out)
	}
}

func TestGoPluginsOwnClientStartsPingsAndStopsIt(t *testing.T) {
	needNode(t)
	foreign.IsGoPlugin(t, "./index.js")
}

func TestMessagesArePostedInOrder(t *testing.T) {
	needNode(t)
	far := slack(t)
	r := start(t, entry(t, far, "ops", "dev"))
	r.Get(t, "/ops.send?text=%3C%21channel%3E+%26+you&desp=a+*b*").ExpectStatuses(t, map[string]string{"ops": "slack-ok"})
	far.Expect(t, "ops", "&lt;!channel&gt; &amp; you\na *b*")
	for _, text := range strings.Fields("one two three four five") {
		foreign.Send(t, r, "dev", text)
	}
	far.Expect(t, "dev", "five")
	if got := strings.Join(far.Posted("dev"), " "); got != "one two three four five" {
		t.Errorf("posted %q", got)
	}
	r.Get(t, "/slack-users.group?text=all").ExpectStatuses(t, map[string]string{"ops": "slack-ok", "dev": "slack-ok"})
}

func TestPostsThatFailAreTriedAgain(t *testing.T) {
	needNode(t)
	far := slack(t)
	var requests atomic.Int32
	far.Answer = func(w http.ResponseWriter, _, _ string) {
		switch requests.Add(1) {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			_, _ = io.WriteString(w, "ok")
		}
	}
	r := start(t, entry(t, far, "ops"))
	r.Get(t, "/ops.send?text=hello").ExpectStatuses(t, map[string]string{"ops": "slack-ok"})
	if got := strings.Join(far.Posted("ops"), " "); got != "hello hello hello" {
		t.Errorf("posted %q", got)
	}
}

func TestPayloadThatSlackRefusesIsADeadLetterAndTheNextGoesOn(t *testing.T) {
	needNode(t)
	far := slack(t)
	far.Answer = func(w http.ResponseWriter, _, text string) {
		if text == "bad" {
			http.Error(w, "invalid_payload", http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, "ok")
	}
	r := start(t, entry(t, far, "ops"))
	r.Get(t, "/ops.send?text=bad").ExpectStatuses(t, map[string]string{"ops": "failed"})
	r.Get(t, "/ops.send?text=good").ExpectStatuses(t, map[string]string{"ops": "slack-ok"})
}

func TestClosedWebhookKeepsItsQueueForTheNextStart(t *testing.T) {
	needNode(t)
	far := slack(t)
	var open atomic.Bool
	far.Answer = func(w http.ResponseWriter, _, _ string) {
		if !open.Load() {
			http.Error(w, "channel_is_archived", http.StatusGone)
			return
		}
		_, _ = io.WriteString(w, "ok")
	}
	r := start(t, entry(t, far, "ops"))
	foreign.Send(t, r, "ops", "one")
	r.WaitLog(t, "webhook is closed", "receiver=ops", "channel_is_archived")
	foreign.Send(t, r, "ops", "two")
	r.Stop(t)
	open.Store(true)
	r.Start(t)
	far.Expect(t, "ops", "two")
	if got := strings.Join(far.Posted("ops"), " "); got != "one one two" {
		t.Errorf("posted %q", got)
	}
}

func TestMistakeInTheConfigIsRefusedWithItsPath(t *testing.T) {
	needNode(t)
	plugin := entry(t, slack(t), "ops")
	plugin["config"].(harness.Object)["clients"].([]any)[0].(harness.Object)["colour"] = "red"
	r := harness.New(t, harness.Object{"plugins": harness.Object{"slack": plugin}})
	result := harness.Run(t, r.Dir, nil, "check", "--config", "config.json", "--data", "data")
	if said := result.Stdout + result.Stderr; result.Code == 0 || !strings.Contains(said, "plugins.slack.config.clients[0].colour") {
		t.Errorf("exit code %d\n%s", result.Code, said)
	}
}

func TestKilledUnderLoadItLosesNothing(t *testing.T) {
	needNode(t)
	far := slack(t)
	foreign.SurvivesAKill(t, start(t, entry(t, far, foreign.Names()...)), "slack", far)
}

func TestItEndsWithItsCore(t *testing.T) {
	needNode(t)
	far := slack(t)
	hold := make(chan struct{})
	defer close(hold)
	far.Answer = func(_ http.ResponseWriter, _, _ string) { <-hold }
	r := start(t, entry(t, far, "ops"))
	foreign.Send(t, r, "ops", "held")
	far.Expect(t, "ops", "held")
	r.Kill(t)
}
