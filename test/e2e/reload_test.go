package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mpush/test/harness"
)

// reloading is a relay whose configuration a test changes while it runs.
type reloading struct {
	*harness.Relay
	t      *testing.T
	config harness.Object
}

// startReloading starts a relay with ports that stay, and more settings.
func startReloading(t *testing.T, more harness.Object) *reloading {
	t.Helper()
	config := harness.FixedPorts(t)
	maps.Copy(config, more)
	r := &reloading{Relay: harness.Start(t, config), t: t}
	text, err := os.ReadFile(filepath.Join(r.Dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &r.config); err != nil {
		t.Fatal(err)
	}
	return r
}

// text is the configuration as it stands.
func (r *reloading) text() string {
	text, err := json.MarshalIndent(r.config, "", "  ")
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

// replace puts a file in the place of the config file, as editors do.
func (r *reloading) replace(text string) {
	r.t.Helper()
	path := filepath.Join(r.Dir, "config.json")
	if err := os.WriteFile(path+"~", []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(path+"~", path); err != nil {
		r.t.Fatal(err)
	}
}

// lines are those of the log that have all these parts.
func (r *reloading) lines(parts ...string) (found []string) {
	for line := range strings.Lines(r.Log()) {
		has := true
		for _, part := range parts {
			has = has && strings.Contains(line, part)
		}
		if has && strings.HasSuffix(line, "\n") {
			found = append(found, line)
		}
	}
	return found
}

// expect does something and waits for one more line of the log, which is said to
// be the end of it, and returns that.
func (r *reloading) expect(do func(), parts ...string) string {
	r.t.Helper()
	before := len(r.lines(parts...))
	do()
	// The relay is another process, and its log has no end to wait for.
	for deadline := time.Now().Add(harness.Patience); ; time.Sleep(5 * time.Millisecond) {
		if now := r.lines(parts...); len(now) > before {
			return now[before]
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("the log has no further line with %q\n%s", parts, r.Log())
		}
	}
}

// reload sets sections, nil taking one away, and waits until the relay has taken
// them over. says are parts of the line that tells so.
func (r *reloading) reload(sections harness.Object, says ...string) {
	r.t.Helper()
	for name, section := range sections {
		if section == nil {
			delete(r.config, name)
		} else {
			r.config[name] = section
		}
	}
	line := r.expect(func() { r.replace(r.text()) }, "configuration reloaded")
	for _, part := range says {
		if !strings.Contains(line, part) {
			r.t.Errorf("it says %q, without %q", line, part)
		}
	}
}

// section is one with further keys, or other values of them.
func (r *reloading) section(name string, keys harness.Object) harness.Object {
	section := harness.Object{}
	if given, ok := r.config[name].(harness.Object); ok {
		maps.Copy(section, given)
	}
	maps.Copy(section, keys)
	return section
}

// filePlugin is a plugins section with examples/file and one receiver, log.
func filePlugin(t *testing.T, messages, group string) harness.Object {
	t.Helper()
	return harness.Object{"file": harness.Object{
		"path": harness.Program(t, "file"), "unpinned": true,
		"config": harness.Object{"path": messages, "clients": []any{harness.Object{"name": "log", "group": group}}},
	}}
}

func TestChannelsComeChangeAndGoWhileAThousandSocketsStay(t *testing.T) {
	t.Parallel()
	const sockets = 1000
	r, e := startReloading(t, nil), newEndpoint(t)
	messages := filepath.Join(t.TempDir(), "messages.jsonl")
	phones := make([]*harness.Client, sockets)
	for i := range phones {
		phones[i] = r.Member(t, fmt.Sprintf("phone%d", i), "all")
	}
	first, next := phones[0], 0
	flows := func(also statuses) {
		t.Helper()
		for name, status := range also {
			request := get("/" + name + ".send?text=hello")
			if status == "ready" {
				request = atOnce(request.Target)
			}
			r.Do(t, request).ExpectStatuses(t, statuses{name: status})
		}
		next++
		answer := r.Begin(t, harness.Request{Target: fmt.Sprintf("/phone0.send?text=%d", next)})
		first.Take(t, fmt.Sprint(next))
		answer().ExpectStatuses(t, statuses{"phone0": "ok"})
	}
	for _, step := range []struct {
		sections harness.Object
		says     string
		also     statuses
	}{
		{harness.Object{"plugins": filePlugin(t, messages, "logs")}, "added=[file]", statuses{"log": "ok"}},
		{harness.Object{"plugins": filePlugin(t, messages, "files")}, "changed=[file]", statuses{"log": "ok"}},
		{harness.Object{"http": r.section("http", harness.Object{"cors": false})}, "changed=[http]", statuses{"log": "ok"}},
		{harness.Object{"webhook": hooks(300, e.client("wh1"))}, "added=[webhook]", statuses{"wh1": "ok"}},
		{harness.Object{"webhook": hooks(300, e.client("wh1"), e.client("wh2"))}, "changed=[webhook]", statuses{"wh1": "ok", "wh2": "ok"}},
		{harness.Object{"limits": harness.Object{"queueLength": 50}}, "settings=[limits.queueLength]", nil},
		{harness.Object{"plugins": nil, "webhook": harness.Object{"enabled": false}}, `removed="[file webhook]"`, statuses{"log": "ready", "wh1": "ready"}},
	} {
		r.reload(step.sections, step.says)
		flows(step.also)
	}
	if again := r.lines("channel running", "channel=websocket"); len(again) != 1 {
		t.Errorf("the channel of the sockets was started %d times", len(again))
	}
	for _, phone := range phones {
		phone.ExpectNothing(t)
	}
	answer := r.Begin(t, harness.Request{Target: "/all.group?text=all"})
	want := statuses{}
	for _, phone := range phones {
		phone.Take(t, "all")
		want[phone.Name] = "ok"
	}
	answer().ExpectStatuses(t, want)
}

func TestBadConfigurationChangesNothingAndSaysWhere(t *testing.T) {
	t.Parallel()
	r := startReloading(t, nil)
	phone := r.Receiver(t, "phone")
	processes := fmt.Sprint(r.Processes())
	good := r.text()
	for name, row := range map[string]struct {
		text string
		says []string
	}{
		"not JSON":              {"{\n  \"http\": {,}\n}", []string{"config.json:2:12"}},
		"an unknown key":        {"{\n  \"limits\": {\"tll\": 1}\n}", []string{"config.json:2:14", "limits.tll", "did you mean"}},
		"a channel's fault":     {strings.Replace(good, `"waitTimeout"`, `"waitTimeot"`, 1), []string{"config.json:", "http.waitTimeot", "unknown key"}},
		"a plugin's fault":      {strings.TrimSuffix(good, "}") + ",\n\"plugins\": {\"file\": {\"path\": \"" + harness.Program(t, "file") + "\", \"unpinned\": true,\n\"config\": {\"pth\": \"x\", \"clients\": []}}}}", []string{"config.json:", ":12", "plugins.file.config.pth"}},
		"no executable":         {strings.TrimSuffix(good, "}") + `, "plugins": {"none": {"path": "/nonexistent/x", "unpinned": true}}}`, []string{"channel none", "/nonexistent/x"}},
		"a file that is absent": {strings.Replace(good, `"token": "`, `"token": "${file:nonexistent-secret}`, 1), []string{"config.json:", "token", "nonexistent-secret"}},
	} {
		line := r.expect(func() { r.replace(row.text) }, "the new configuration is refused, the one before stays in force")
		for _, part := range append(row.says, "level=ERROR") {
			if !strings.Contains(line, part) {
				t.Errorf("%s: it says %q, without %q", name, line, part)
			}
		}
		answer := r.Begin(t, harness.Request{Target: "/phone.send?text=on"})
		phone.Take(t, "on")
		answer().ExpectStatuses(t, statuses{"phone": "ok"})
	}
	if now := fmt.Sprint(r.Processes()); now != processes {
		t.Errorf("the processes are %s, they were %s", now, processes)
	}
	r.reload(harness.Object{"http": r.section("http", harness.Object{"cors": false})}, "changed=[http]")
}

func TestReloadIsAskedForInManyWays(t *testing.T) {
	t.Parallel()
	secrets := t.TempDir()
	secret := filepath.Join(secrets, "secret")
	if err := os.WriteFile(secret, []byte("1000"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startReloading(t, nil)
	hangUp := func() {
		if err := syscall.Kill(r.PID(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	r.expect(hangUp, "configuration reloaded", "nothing has changed")
	r.expect(hangUp, "configuration reloaded", "nothing has changed")

	// A file that is written in place; before, an editor's rename is shown.
	r.reload(harness.Object{"webhook": harness.Object{"clients": []any{harness.Object{
		"name": "wh1", "url": "http://127.0.0.1:9/", "token": "${file:" + secret + "}",
	}}}}, "added=[webhook]")
	r.expect(func() {
		r.Configure(t, strings.Replace(r.text(), "{", "{ // written in place", 1))
	}, "configuration reloaded", "nothing has changed")

	// What the configuration includes.
	r.expect(func() {
		if err := os.WriteFile(secret, []byte("2000"), 0o600); err != nil {
			t.Fatal(err)
		}
	}, "configuration reloaded", "changed=[webhook]")

	// SIGHUP finds what no watch can see: the program of a plugin.
	program := filepath.Join(secrets, "program")
	if err := os.Symlink("/bin/sh", program); err != nil {
		t.Fatal(err)
	}
	plugin := filePlugin(t, filepath.Join(secrets, "messages.jsonl"), "logs")
	entry := plugin["file"].(harness.Object)
	entry["path"], entry["sha256"] = program, sha256Of(t, harness.Program(t, "file"))
	delete(entry, "unpinned")
	r.config["plugins"] = plugin
	r.expect(func() { r.replace(r.text()) }, "is refused", "channel file", "checksum")
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(harness.Program(t, "file"), program); err != nil {
		t.Fatal(err)
	}
	r.expect(hangUp, "configuration reloaded", "added=[file]")
	r.Get(t, "/log.send?text=hello").ExpectStatuses(t, statuses{"log": "ok"})
}

func TestChangedTokenEndsSessionsAndKeepsQueues(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	r := startReloading(t, harness.Object{"webhook": hooks(300, e.client("wh1"))})
	old := r.Token
	phone := r.Dial(t)
	auth := phone.Auth(t, old, "phone", "")
	r.Get(t, "/wh1.send?text=old").ExpectStatuses(t, statuses{"wh1": "ok"})
	if got := e.next().token; got != old {
		t.Errorf("the endpoint got the token %q", got)
	}
	unacked := r.Do(t, atOnce("/phone.send?text=unacked"))
	mid := phone.ExpectText(t, "unacked")
	unacked.Expect(t, 200, `{"cmd":"MESSAGE_REPLY","data":{"mid":"<mid>","status":{"phone":"<status>"},"phone":"<status>"}}`)

	r.Token = "another-" + old
	r.reload(harness.Object{"token": r.Token}, "settings=[token]", "changed=[webhook]")
	if code := phone.ExpectEnd(t); code != 1008 { // 1000 would keep it away
		t.Errorf("close code %d", code)
	}
	callback := `{"cmd":"MESSAGE_CALLBACK","data":{"mid":"` + mid + `"},"auth":"` + auth + `"}`
	r.PostJSON(t, "/", callback).ExpectInfo(t, 401, "auth")
	phone = r.Dial(t)
	phone.Send(t, harness.AuthPacket(old, "phone", ""))
	phone.Expect(t, `{"cmd":"AUTH","data":{"code":403,"msg":"Token invalid"}}`)
	phone.Auth(t, r.Token, "phone", "")
	if got := phone.Take(t, "unacked"); got != mid {
		t.Errorf("mid %s, it was %s", got, mid)
	}
	r.Get(t, "/wh1.send?text=new").ExpectStatuses(t, statuses{"wh1": "ok"})
	if got := e.next().token; got != r.Token {
		t.Errorf("the endpoint got the token %q", got)
	}
	if again := r.lines("channel running", "channel=websocket"); len(again) != 1 {
		t.Errorf("the channel of the sockets was started %d times", len(again))
	}
	if strings.Contains(r.Log(), old) {
		t.Error("the log has the old token")
	}
}

func TestChangedSettingsHoldAtOnce(t *testing.T) {
	t.Parallel()
	r := startReloading(t, nil)
	r.Away(t, "phone", "")
	queue(t, r.Relay, "phone", "one", "two")
	r.reload(harness.Object{"limits": harness.Object{"queueLength": 2}}, "settings=[limits.queueLength]")
	r.Get(t, "/phone.send?text=three").Expect(t, 200, `{"cmd":"MESSAGE_REPLY","data":{"status":{"phone":"full"},"phone":"full"}}`)
	r.reload(harness.Object{"limits": nil}, "settings=[limits.queueLength]")
	queue(t, r.Relay, "phone", "three")

	phone := r.Dial(t)
	auth := phone.Auth(t, r.Token, "phone", "")
	for _, text := range []string{"one", "two", "three"} {
		phone.Take(t, text)
	}
	r.reload(harness.Object{"auth": harness.Object{"ttl": 1000}}, "settings=[auth.ttl]")
	expired := func() bool {
		reply := r.PostJSON(t, "/", `{"cmd":"MESSAGE_CALLBACK","data":{"mid":"1"},"auth":"`+auth+`"}`)
		return reply.Status == 401 && strings.Contains(reply.Body, "expired")
	}
	for deadline := time.Now().Add(harness.Patience); !expired(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the session does not expire")
		}
	}
	r.reload(harness.Object{"trustedProxies": []string{"10.0.0.0/8"}}, "settings=[trustedProxies]", `changed="[http websocket]"`)

	// In the format and at the level of the moment.
	r.reload(harness.Object{"log": harness.Object{"format": "json"}}, "log.format")
	r.reload(harness.Object{"log": harness.Object{"format": "json", "level": "error"}}, `"settings":["log.level"]`)
	r.expect(func() { r.replace("{]") }, `"level":"ERROR"`, "config.json:1:")
	lines := len(r.lines(`"level":"INFO"`))
	r.expect(func() { r.replace("{\n]") }, `"level":"ERROR"`, "config.json:2:")
	if more := r.lines(`"level":"INFO"`); len(more) != lines {
		t.Errorf("at level error it logs %s", more[lines:])
	}
}

// A channel that is switched off loses nothing: what is queued for it waits, and
// its receivers' names are theirs again when it is back.
func TestChannelThatIsSwitchedOffAndOnGoesOnWithItsQueues(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	r := startReloading(t, harness.Object{"webhook": hooks(300, e.client("wh1"))})
	r.Get(t, "/wh1.send?text=zero").ExpectStatuses(t, statuses{"wh1": "ok"})
	e.next().mid(t, "zero")
	on := r.config["webhook"].(harness.Object)
	r.reload(harness.Object{"webhook": r.section("webhook", harness.Object{"enabled": false})}, "removed=[webhook]")
	mids := queue(t, r.Relay, "wh1", "one", "two")
	// Meanwhile the name may be held by another.
	phone := r.Receiver(t, "wh1")
	if got := phone.Take(t, "one"); got != mids[0] {
		t.Errorf("mid %s, expected %s", got, mids[0])
	}
	phone.ExpectText(t, "two")
	r.reload(harness.Object{"webhook": on}, "added=[webhook]")
	phone.ExpectEnd(t)
	if got := e.next().mid(t, "two"); got != mids[1] {
		t.Errorf("mid %s, expected %s", got, mids[1])
	}
	r.Get(t, "/wh1.send?text=three").ExpectStatuses(t, statuses{"wh1": "ok"})
	e.next().mid(t, "three")
	e.none()
}

func TestRelayStopsInTheMiddleOfAReload(t *testing.T) {
	t.Parallel()
	r := startReloading(t, nil)
	if len(r.Processes()) == 0 {
		t.Skip("processes are found in /proc, which is not here")
	}
	stopped := func() int { return len(r.lines("channel stopped", "channel=http")) }
	runs := func() bool {
		return slices.ContainsFunc(r.Processes(), func(p harness.Process) bool {
			return strings.HasSuffix(strings.Join(p.Args, " "), "plugin run http")
		})
	}
	cors, running := true, true
	// stopWhen stops the relay at a moment of a reload, and tells whether the
	// reload was not over before.
	stopWhen := func(what string, moment func(drained bool) bool) bool {
		if !running {
			r.Start(t)
		}
		phone := r.Receiver(t, "phone")
		cors = !cors
		r.config["http"] = r.section("http", harness.Object{"cors": cors})
		ended, over := stopped(), len(r.lines("configuration reloaded"))
		reloaded := func() bool { return len(r.lines("configuration reloaded")) > over }
		r.replace(r.text())
		eventually(t, what, func() bool { return moment(stopped() > ended) || reloaded() })
		r.Stop(t)
		running = false
		if code := phone.ExpectEnd(t); code != 1001 {
			t.Errorf("%s: close code %d", what, code)
		}
		return !reloaded()
	}
	for what, moment := range map[string]func(drained bool) bool{
		"the new configuration is tried": func(bool) bool { return len(r.Processes()) > 3 },
		"the channel has ended":          func(drained bool) bool { return drained },
		"the channel begins again":       func(drained bool) bool { return drained && runs() },
	} {
		for attempts := 1; !stopWhen(what, moment); attempts++ {
			if attempts == 20 {
				t.Fatalf("the reload is always over: %s", what)
			}
		}
	}
}
