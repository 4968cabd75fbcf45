package pythonapprise

import (
	"encoding/json"
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

const python = "/usr/bin/python3"

// needPython skips a test where the plugin can not run.
func needPython(t *testing.T) {
	t.Helper()
	if err := exec.Command(python, "-c", "import apprise, grpc, google.protobuf").Run(); err != nil {
		t.Skip(python + " lacks the plugin's modules: apt-get install python3-grpcio apprise")
	}
}

// service is a fake of what Apprise's json:// posts to.
func service(t *testing.T) *foreign.FarSide {
	return foreign.NewFarSide(t, func(body []byte) (string, error) {
		var payload struct{ Title, Message string }
		err := json.Unmarshal(body, &payload)
		return strings.TrimPrefix(payload.Title+"/"+payload.Message, "/"), err
	})
}

// entry is the plugin's, with a client for each name.
func entry(t *testing.T, far *foreign.FarSide, names ...string) harness.Object {
	t.Helper()
	path, err := filepath.Abs("apprise_channel.py")
	if err != nil {
		t.Fatal(err)
	}
	clients := []any{}
	for _, name := range names {
		clients = append(clients, harness.Object{"name": name, "group": "everyone", "urls": []string{url(far, name)}})
	}
	return harness.Object{
		"path": path, "unpinned": true, "mtls": false,
		"config": harness.Object{"clients": clients, "retryTimeout": 100},
	}
}

// url is a path of the far side in Apprise's notation, with time enough for a
// busy machine.
func url(far *foreign.FarSide, path string) string {
	return "json://" + far.Host() + "/" + path + "?cto=30&rto=30"
}

func start(t *testing.T, plugin harness.Object) *harness.Relay {
	t.Helper()
	r := harness.Start(t, harness.Object{"plugins": harness.Object{"apprise": plugin}})
	foreign.Running(t, r, "apprise")
	return r
}

// client is the first client of an entry.
func client(plugin harness.Object) harness.Object {
	return plugin["config"].(harness.Object)["clients"].([]any)[0].(harness.Object)
}

func TestUnitTestsPass(t *testing.T) {
	needPython(t)
	if out, err := exec.Command(python, "-B", "schema_test.py").CombinedOutput(); err != nil {
		t.Errorf("schema_test.py: %v\n%s", err, out)
	}
}

func TestGoPluginsOwnClientStartsPingsAndStopsIt(t *testing.T) {
	needPython(t)
	foreign.IsGoPlugin(t, "./apprise_channel.py")
}

func TestMessagesAreHandedOverInOrder(t *testing.T) {
	needPython(t)
	far := service(t)
	r := start(t, entry(t, far, "ops", "dev"))
	r.Get(t, "/ops.send?text=title&desp=body").ExpectStatuses(t, map[string]string{"ops": "apprise-ok"})
	far.Expect(t, "ops", "title/body")
	for _, text := range strings.Fields("one two three four five") {
		foreign.Send(t, r, "dev", text)
	}
	far.Expect(t, "dev", "five")
	if got := strings.Join(far.Posted("dev"), " "); got != "one two three four five" {
		t.Errorf("posted %q", got)
	}
	r.Get(t, "/everyone.group?text=all").ExpectStatuses(t, map[string]string{"ops": "apprise-ok", "dev": "apprise-ok"})
	r.Get(t, "/ops.send?text=&desp=+").ExpectStatuses(t, map[string]string{"ops": "failed"})
}

func TestOnlyServicesThatFailedAreTriedAgain(t *testing.T) {
	needPython(t)
	far := service(t)
	var failures atomic.Int32
	far.Answer = func(w http.ResponseWriter, receiver, _ string) {
		if receiver == "bad" && failures.Add(1) <= 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok")
	}
	plugin := entry(t, far, "ops")
	client(plugin)["urls"] = []string{url(far, "good"), url(far, "bad")}
	r := start(t, plugin)
	r.Get(t, "/ops.send?text=hello").ExpectStatuses(t, map[string]string{"ops": "apprise-ok"})
	if good, bad := strings.Join(far.Posted("good"), " "), strings.Join(far.Posted("bad"), " "); good != "hello" || bad != "hello hello hello" {
		t.Errorf("posted %q and %q", good, bad)
	}
}

func TestMistakesInTheConfigAreRefusedWithTheirPath(t *testing.T) {
	needPython(t)
	for path, change := range map[string]func(client harness.Object){
		"clients[0].colour": func(client harness.Object) { client["colour"] = "red" },
		"clients[0].urls[1]": func(client harness.Object) {
			client["urls"] = []string{"json://127.0.0.1", "nonesuch://verysecretword"}
		},
	} {
		plugin := entry(t, service(t), "ops")
		change(client(plugin))
		r := harness.New(t, harness.Object{"plugins": harness.Object{"apprise": plugin}})
		result := harness.Run(t, r.Dir, nil, "check", "--config", "config.json", "--data", "data")
		said := result.Stdout + result.Stderr
		if result.Code == 0 || !strings.Contains(said, "plugins.apprise.config."+path) {
			t.Errorf("%s: exit code %d\n%s", path, result.Code, said)
		}
		if strings.Contains(said, "verysecretword") {
			t.Errorf("a url is shown:\n%s", said)
		}
	}
}

func TestLogHoldsNoPartOfAURL(t *testing.T) {
	needPython(t)
	far := service(t)
	far.Answer = func(w http.ResponseWriter, receiver, _ string) { w.WriteHeader(http.StatusTeapot) }
	plugin := entry(t, far, "ops")
	client(plugin)["urls"] = []string{url(far, "verysecretword")}
	r := start(t, plugin)
	foreign.Send(t, r, "ops", "hello")
	r.WaitLog(t, "logger=apprise", "418")
	if strings.Contains(r.Log(), "verysecretword") {
		t.Error("a url is logged")
	}
}

func TestKilledUnderLoadItLosesNothing(t *testing.T) {
	needPython(t)
	far := service(t)
	foreign.SurvivesAKill(t, start(t, entry(t, far, foreign.Names()...)), "apprise", far)
}

func TestItEndsWithItsCore(t *testing.T) {
	needPython(t)
	far := service(t)
	hold := make(chan struct{})
	defer close(hold)
	far.Answer = func(_ http.ResponseWriter, _, _ string) { <-hold }
	r := start(t, entry(t, far, "ops"))
	foreign.Send(t, r, "ops", "held")
	far.Expect(t, "ops", "held")
	r.Kill(t)
}
