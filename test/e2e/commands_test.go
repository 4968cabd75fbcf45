package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"mpush/test/harness"
)

// beside runs a command of mpush beside a relay, on its data directory.
func beside(t *testing.T, relay *harness.Relay, args ...string) *harness.Command {
	t.Helper()
	return relay.Command(t, nil, append(args, "--data", "data")...)
}

var midLine = regexp.MustCompile(`(?m)^mid +(\d+)$`)

func midOf(t *testing.T, text string) string {
	t.Helper()
	m := midLine.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no mid in\n%s", text)
	}
	return m[1]
}

func showSendWaitsForAReceiverThatComesLaterAndTraceTellsTheStory(t *testing.T, w wire) {
	relay := w.open
	relay.Away(t, "late", "")
	send := beside(t, relay, "send", "late", "hi", "there", "--extra", "a=b", "--wait=10m")
	send.WaitStdout(t, "late  ready\n")
	mid := midOf(t, sent(t, relay, "late"))
	story := operates(t, relay, "trace", mid)
	for _, part := range []string{"control", `{"a":"b"}`, "late: ready", "place 1 in the queue", "websocket: the receiver is away"} {
		if !strings.Contains(story, part) {
			t.Errorf("the trace does not say %q:\n%s", part, story)
		}
	}
	listen := beside(t, relay, "listen", "--name", "late", "--once", "--json")
	send.WaitStdout(t, "late  ok\n")
	if got := send.Wait(t); got.Code != 0 || got.Stderr != "" || midOf(t, got.Stdout) != mid {
		t.Errorf("send: exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
	got := listen.Wait(t)
	var message struct {
		MID, Target string
		From        struct{ Method, Name string }
		Message     struct {
			Text, Desp string
			Extra      map[string]string
		}
	}
	if err := json.Unmarshal([]byte(got.Stdout), &message); err != nil || got.Code != 0 || strings.Count(got.Stdout, "\n") != 1 {
		t.Fatalf("listen: exit code %d, %v\n%s%s", got.Code, err, got.Stdout, got.Stderr)
	}
	if m := message.Message; message.MID != mid || message.From.Method != "control" || m.Text != "hi" || m.Desp != "there" || m.Extra["a"] != "b" {
		t.Errorf("%+v", message)
	}
	const at = `\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}  `
	story = operates(t, relay, "trace", mid)
	told := regexp.MustCompile(`(?s)late: ok\n  ` + at + `accepted and stored, place 1.*\n  ` + at + `sent for the first time, .*\n  ` + at + `acknowledged by the receiver, .* after it was accepted\n`)
	if !told.MatchString(story) {
		t.Errorf("the trace does not tell the story:\n%s", story)
	}
}

// sent is the mid line of the message that waits longest for a receiver.
func sent(t *testing.T, relay *harness.Relay, name string) string {
	t.Helper()
	var receiver struct {
		OldestMID string `json:"oldestMid"`
	}
	operateJSON(t, relay, &receiver, "receivers", name)
	return "mid " + receiver.OldestMID
}

func showSendThatIsNotDeliveredInTimeExitsWithThree(t *testing.T, w wire) {
	relay := w.open
	relay.Away(t, "absent", "absentees")
	got := operate(t, relay, "send", "absent", "hi", "--wait=1ms")
	if got.Code != 3 || !strings.Contains(got.Stdout, "absent  ready\n") || !strings.Contains(got.Stderr, "stays in the queue") {
		t.Errorf("exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
	// What can not be ok any more is not waited for.
	expiring := operate(t, relay, "send", "absentees", "hi", "--group", "--extra", "ttl=1", "--wait=10m", "--json")
	var result struct {
		MID       string
		Receivers []struct {
			Receiver, Status, Reason string
			Final                    bool
		}
	}
	if err := json.Unmarshal([]byte(expiring.Stdout), &result); err != nil || expiring.Code != 3 || len(result.Receivers) != 1 ||
		result.Receivers[0].Status != "failed" || !result.Receivers[0].Final || result.Receivers[0].Reason != "expired" {
		t.Errorf("exit code %d, %v\n%s%s", expiring.Code, err, expiring.Stdout, expiring.Stderr)
	}
	for _, row := range []struct {
		code int
		says string
		args []string
	}{
		{1, `"ghost"`, []string{"send", "ghost", "hi", "--wait"}}, {1, "nobody is in the group", []string{"send", "ghosts", "hi", "--group"}},
		{2, "--extra", []string{"send", "absent", "hi", "--extra", "x"}}, {2, "--extra-json", []string{"send", "absent", "hi", "--extra-json", "[]"}},
		{2, "send --help", []string{"send"}}, {2, "--wiat", []string{"send", "absent", "--wiat"}}, {2, "--server", []string{"send", "absent", "--server", "absent"}},
	} {
		if got := operate(t, relay, row.args...); got.Code != row.code || !strings.Contains(got.Stderr, row.says) {
			t.Errorf("mpush %v: exit code %d\n%s", row.args, got.Code, got.Stderr)
		}
	}
	nowhere := harness.Run(t, harness.Dir(t), nil, "send", "absent", "hi")
	if nowhere.Code != 1 || !strings.Contains(nowhere.Stderr, `is "mpush serve" running with this --data?`) {
		t.Errorf("exit code %d\n%s", nowhere.Code, nowhere.Stderr)
	}
}

func TestSendThatReadsStdinEndsWhenItIsAskedTo(t *testing.T) {
	t.Parallel()
	for _, asked := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
		defer cancel()
		var stderr bytes.Buffer
		send := exec.CommandContext(ctx, harness.Program(t, "mpush"), "send", "phone", "-")
		send.Dir, send.Stderr = harness.Dir(t), &stderr
		in, err := send.StdinPipe()
		if err == nil {
			err = send.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		// More than a pipe holds is written when it is being read.
		if _, err := in.Write(make([]byte, 1<<20)); err != nil {
			t.Error(err)
		}
		_ = send.Process.Signal(asked)
		_ = send.Wait() // the exit code is in ProcessState
		if send.ProcessState.ExitCode() != 1 || !strings.HasPrefix(stderr.String(), "mpush: stdin: ") {
			t.Errorf("%v: %v\n%s", asked, send.ProcessState, stderr.String())
		}
	}
}

func showSecondSignalEndsWhatTheFirstDoesNot(t *testing.T, w wire) {
	relay := w.open
	// What holds it up ends after it, and the test does not wait for more.
	const stubborn = `trap "echo asked" INT; echo begun; while kill -0 $PPID; do sleep 0.1; done`
	listen := beside(t, relay, "listen", "--name", "listener", "--exec", stubborn)
	listen.WaitStderr(t, "listener is listening")
	operates(t, relay, "send", "listener", "hi")
	listen.WaitStdout(t, "begun")
	listen.Interrupt()
	listen.WaitStdout(t, "asked")
	listen.Terminate()
	if got := listen.Wait(t); got.Code != -1 {
		t.Errorf("exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
}

func TestSendAndListenReachAnyServerWithAToken(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, harness.Object{"http": harness.Object{"verifyToken": true}})
	relay.Away(t, "my phone/1", "")
	server, socket := "http://"+relay.Address(t, "http"), "ws://"+relay.Address(t, "websocket")
	elsewhere := []string{"MPUSH_TOKEN=" + relay.Token}
	dir := harness.Dir(t)
	first := harness.Run(t, dir, elsewhere, "send", "my phone/1", "one", "--server", server, "--idempotency-key", "k")
	again := harness.Run(t, dir, elsewhere, "send", "my phone/1", "one", "--server", server, "--idempotency-key", "k")
	if first.Code != 0 || midOf(t, first.Stdout) != midOf(t, again.Stdout) {
		t.Errorf("exit code %d\n%s%s%s%s", first.Code, first.Stdout, first.Stderr, again.Stdout, again.Stderr)
	}
	listen := relay.Command(t, elsewhere, "listen", "--name", "my phone/1", "--server", socket)
	listen.WaitStdout(t, "one")
	second := harness.Run(t, dir, nil, "send", "my phone/1", "two\x1b[2J", "--server", server, "--token", relay.Token, "--wait=10m")
	if second.Code != 0 || !strings.Contains(second.Stdout, "my phone/1  ok\n") {
		t.Errorf("exit code %d\n%s%s", second.Code, second.Stdout, second.Stderr)
	}
	listen.WaitStdout(t, "two [2J") // nothing is done to a terminal
	listen.Interrupt()
	if got := listen.Wait(t); got.Code != 0 {
		t.Errorf("listen: exit code %d\n%s", got.Code, got.Stderr)
	}
	for _, args := range [][]string{{"send", "my phone/1", "x", "--server", server}, {"listen", "--name", "x", "--server", socket, "--token", "wrong"}} {
		if got := harness.Run(t, dir, nil, args...); got.Code != 1 || !strings.Contains(got.Stderr, "MPUSH_TOKEN") {
			t.Errorf("mpush %v: exit code %d\n%s", args, got.Code, got.Stderr)
		}
	}
}

func TestListenAcknowledgesWhatItsCommandHasDone(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, harness.Object{"websocket": harness.Object{"retryTimeout": 200}})
	relay.Away(t, "job", "")
	mid := midOf(t, operates(t, relay, "send", "job", "it's $HOME", "--extra-json", `{"n":12345678901234567890}`))
	// The first time it fails, the second time not.
	script := `printf '%s|%s|%s|' "$MPUSH_MID" "$MPUSH_TEXT" "$MPUSH_EXTRA" >>got; cat >>got; [ -e failed ] || { touch failed; exit 7; }`
	got := operate(t, relay, "listen", "--name", "job", "--once", "--exec", script)
	if got.Code != 0 || !strings.Contains(got.Stderr, "exit status 7") || !strings.Contains(got.Stderr, "comes again") {
		t.Errorf("exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
	text, err := os.ReadFile(filepath.Join(relay.Dir, "got"))
	one := mid + `|it's $HOME|{"n":12345678901234567890}|{`
	if err != nil || strings.Count(string(text), one) != 2 || strings.Count(string(text), "\n") != 2 {
		t.Errorf("%v\n%s", err, text)
	}
	// The status is another process's to tell.
	eventually(t, "the message is ok", func() bool { return statusNow(t, relay, mid)["job"] == "ok" })
}

func showListenGivesACommandMoreThanAnEnvironmentHolds(t *testing.T, w wire) {
	relay := w.open
	relay.Away(t, "job", "")
	long := postJSON("/job.send", `{"text":"hi","desp":"`+strings.Repeat("x", 200<<10)+`"}`, "Prefer: wait=0")
	mid := sentMID(t, relay.Do(t, long))
	got := operate(t, relay, "listen", "--name", "job", "--once", "--exec", "true")
	if got.Code != 0 {
		t.Errorf("exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
	eventually(t, "the message is ok", func() bool { return statusNow(t, relay, mid)["job"] == "ok" })
}

func showListenKeepsWhatItCouldNotWriteInTheQueue(t *testing.T, w wire) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	relay := w.open
	relay.Away(t, "log", "")
	mid := midOf(t, operates(t, relay, "send", "log", "hi"))
	var stderr bytes.Buffer
	listen := exec.Command(harness.Program(t, "mpush"), "listen", "--name", "log", "--once", "--json", "--data", "data")
	listen.Dir, listen.Stdout, listen.Stderr = relay.Dir, full, &stderr
	if err := listen.Run(); listen.ProcessState.ExitCode() != 1 || !strings.Contains(stderr.String(), mid+" is not acknowledged: write ") {
		t.Errorf("%v\n%s", err, stderr.String())
	}
	if now := statusNow(t, relay, mid); now["log"] == "ok" {
		t.Fatalf("the message is %v", now)
	}
	if got := operate(t, relay, "listen", "--name", "log", "--once", "--json"); got.Code != 0 || !strings.Contains(got.Stdout, mid) {
		t.Errorf("exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
}

func TestListenComesBackAndStatusNamesWhatWasKilled(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, nil)
	listen := beside(t, relay, "listen", "--name", "phone")
	listen.WaitStderr(t, "phone is listening")
	operates(t, relay, "send", "phone", "before", "--wait=10m")
	watch := beside(t, relay, "status", "--watch")
	watch.WaitStdout(t, "1 receiver, 1 route up")
	pid := relay.Channel(t, "websocket").PID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	listen.WaitStderr(t, "trying again")
	next := relay.WaitRestart(t, "websocket", pid)
	operates(t, relay, "send", "phone", "after", "--wait=10m")
	listen.WaitStdout(t, "after")

	status := operates(t, relay, "status")
	if !strings.HasPrefix(status, "ok\n") {
		t.Errorf("the first line is not its health:\n%s", status)
	}
	for _, row := range []string{`(?m)^websocket +running +\S+ \S+ +` + strconv.Itoa(next) + ` +1 `, `(?m)^  websocket  started again, its last life ended: .*(killed|connection broke)`, `1 receiver, 1 route up, 0 messages queued`, `accepted and .* acknowledged a second`} {
		if !regexp.MustCompile(row).MatchString(status) {
			t.Errorf("no %s in\n%s", row, status)
		}
	}
	if table := operates(t, relay, "plugin", "list"); !hasLine(table, "websocket", "running", strconv.Itoa(next)) || !regexp.MustCompile(`killed|connection broke`).MatchString(table) {
		t.Errorf("plugin list:\n%s", table)
	}
	watch.WaitStdout(t, "websocket  started again, its last life ended")
	watch.Interrupt()
	if got := watch.Wait(t); got.Code != 0 || got.Stderr != "" {
		t.Errorf("status --watch: exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
	listen.Interrupt()
	if got := listen.Wait(t); got.Code != 0 || strings.Count(got.Stdout, "before") != 1 || strings.Count(got.Stdout, "after") != 1 {
		t.Errorf("listen: exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
}

func TestReceiversAreListedAndForgotten(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, nil)
	for _, name := range []string{"c", "a b", "b"} {
		relay.Away(t, name, "g")
	}
	operates(t, relay, "send", "b", "waits")
	list := operates(t, relay, "receivers", "--limit", "1")
	if !strings.Contains(list, "a b ") || !strings.Contains(list, "--after 'a b'") {
		t.Errorf("the first page is\n%s", list)
	}
	if list = operates(t, relay, "receivers", "--after", "a b"); !regexp.MustCompile(`(?m)^b +g +- +1 +2\d{3}-`).MatchString(list) || !strings.Contains(list, "\nc ") || strings.Contains(list, "\na b ") {
		t.Errorf("the second page is\n%s", list)
	}
	if one := operates(t, relay, "receivers", "b"); !strings.Contains(one, "1 message,") || !regexp.MustCompile(`websocket +attached +down`).MatchString(one) {
		t.Errorf("b is\n%s", one)
	}
	operates(t, relay, "forget", "a b")
	if got := operate(t, relay, "forget", "b"); got.Code != 1 || !strings.Contains(got.Stderr, "--yes") {
		t.Errorf("exit code %d\n%s", got.Code, got.Stderr)
	}
	operates(t, relay, "forget", "b", "--yes")
	if got := operate(t, relay, "forget", "b"); got.Code != 1 || !strings.Contains(got.Stderr, `no receiver has the name "b"`) {
		t.Errorf("exit code %d\n%s", got.Code, got.Stderr)
	}
	if list = operates(t, relay, "receivers"); strings.Contains(list, "\nb ") || !strings.Contains(list, "\nc ") {
		t.Errorf("the rest is\n%s", list)
	}
}

func TestInitWritesAConfigThatServes(t *testing.T) {
	t.Parallel()
	relay := harness.New(t, nil)
	path := filepath.Join(relay.Dir, "config.json")
	if got := harness.Run(t, relay.Dir, nil, "init"); got.Code != 1 || !strings.Contains(got.Stderr, "--force") {
		t.Errorf("exit code %d\n%s", got.Code, got.Stderr)
	}
	if got := harness.Run(t, relay.Dir, nil, "init", "--force"); got.Code != 0 || !strings.Contains(got.Stdout, "mpush serve") {
		t.Errorf("exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	token := regexp.MustCompile(`"token": "([\w-]{43})"`).FindStringSubmatch(string(text))
	if token == nil {
		t.Fatalf("no token in\n%s", text)
	}
	relay.Token = token[1]
	free := strings.NewReplacer(`"port": 9093`, `"port": 0`, `"port": 9094`, `"port": 0`, `"host": ""`, `"host": "127.0.0.1"`)
	relay.Configure(t, free.Replace(string(text)))
	relay.Start(t)
	listen := beside(t, relay, "listen", "--name", "phone", "--once")
	listen.WaitStderr(t, "phone is listening")
	operates(t, relay, "send", "phone", "hello", "--wait=10m")
	listen.WaitStdout(t, "hello")
	relay.Get(t, "/phone.send?text=x").ExpectInfo(t, 401)
}

func TestWhatIsAskedToEndSaysHowFarItCame(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, nil)
	relay.Away(t, "phone", "")
	send := beside(t, relay, "send", "phone", "hi", "--wait=10m")
	send.WaitStdout(t, "ready")
	watch := beside(t, relay, "status", "--watch")
	watch.WaitStdout(t, "1 message queued")
	send.Terminate()
	if got := send.Wait(t); got.Code != 3 || !strings.Contains(got.Stderr, "the message is accepted") {
		t.Errorf("exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
	relay.Stop(t)
	watch.WaitStderr(t, "no relay answers")
	relay.Start(t)
	watch.WaitStdout(t, strconv.Itoa(relay.Channel(t, "websocket").PID))
	watch.Terminate()
	if got := watch.Wait(t); got.Code != 0 {
		t.Errorf("exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
	if first := harness.Run(t, relay.Dir, nil, "status", "--watch", "--data", "nowhere"); first.Code != 1 {
		t.Errorf("exit code %d\n%s", first.Code, first.Stderr)
	}
}

func TestConfigShowTellsWhereEachValueCameFromAndNoSecret(t *testing.T) {
	t.Parallel()
	dir := harness.Dir(t)
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("a-very-secret-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "chat"), []byte("https://chat.example/who-has-this-may-post"), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, dir, `{
  "token": "${file:token}",
  "limits": {"ttl": "2d"}, "tokens": [{"name": "ci", "token": "another-secret-token", "rights": ["send"]}],
  "webhook": {"clients": [{"name": "nas", "url": "https://nas.example", "method": "POST", "proxy": "http://me:passw0rd-of-mine@proxy.example"}, {"name": "chat", "url": "${file:chat}", "method": "POST"}]},
  "webpush": {"enabled": false},
}`)
	env := []string{"MPUSH_HTTP_PORT=9193", "MPUSH_LOG_LEVEL=warn"}
	got := harness.Run(t, dir, env, "config", "show")
	if got.Code != 0 || got.Stderr != "" {
		t.Errorf("exit code %d\n%s", got.Code, got.Stderr)
	}
	for _, row := range []string{
		`token +"\[redacted\]" +config.json:2:3, \$\{file:token\}`, `limits.ttl +"2d" +config.json:3:14`, `limits.queueLength +100000 +default`,
		`tokens\[0\].name +"ci" +config.json:3:`, `tokens\[0\].token +"\[redacted\]"`, `log.level +"warn" +environment variable MPUSH_LOG_LEVEL`, `http.port +9193 +environment variable MPUSH_HTTP_PORT`, `http.cors +true +default`,
		`webhook.clients\[0\].name +"nas" +config.json:4:`, `webpush.enabled +false +config.json:5:`, `websocket.port +9094 +default`,
	} {
		if !regexp.MustCompile(`(?m)^` + row).MatchString(got.Stdout) {
			t.Errorf("no line %s in\n%s", row, got.Stdout)
		}
	}
	inJSON := harness.Run(t, dir, env, "config", "show", "--json")
	var shown struct {
		Values []struct{ Path, Origin string }
	}
	if err := json.Unmarshal([]byte(inJSON.Stdout), &shown); err != nil || len(shown.Values) < 20 {
		t.Errorf("%v\n%s", err, inJSON.Stdout)
	}
	for _, secret := range []string{"a-very-secret-token", "another-secret-token", "passw0rd-of-mine", "who-has-this"} {
		if strings.Contains(got.Stdout+inJSON.Stdout, secret) {
			t.Errorf("it shows %s", secret)
		}
	}
}

func TestRelayIsNoPlugin(t *testing.T) {
	t.Parallel()
	dir := harness.Dir(t)
	write(t, dir, `{"token":"strong-enough"}`)
	got := harness.Run(t, dir, []string{"MPUSH_PLUGIN=1"})
	failsToStart(t, got, "this is the relay, not a plugin")
}
