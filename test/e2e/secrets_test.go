package e2e

import (
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"

	"mpush/test/fakepush"
	"mpush/test/harness"
)

// canaries are what nobody may read in any output, by what they are.
type canaries map[string]string

// text makes one that looks like no other.
func (c canaries) text(what string) string {
	c[what] = "canary" + rand.Text()
	return c[what]
}

// search looks for them, as they are and as they are often written.
func (c canaries) search(t *testing.T, where, output string) {
	t.Helper()
	for _, what := range slices.Sorted(maps.Keys(c)) {
		quoted, _ := json.Marshal(c[what]) // a text
		for how, form := range map[string]string{
			"": c[what], " escaped": strings.Trim(string(quoted), `"`), " in a url": url.QueryEscape(c[what]),
			" in base64": base64.StdEncoding.EncodeToString([]byte(c[what])), " in hexadecimal": fmt.Sprintf("%x", c[what]),
		} {
			if i := strings.Index(output, form); i >= 0 {
				line := output[strings.LastIndexByte(output[:i], '\n')+1:]
				line, _, _ = strings.Cut(line, "\n")
				t.Errorf("%s: %s%s\n%s", where, what, how, line)
			}
		}
	}
}

// vapidKey is the private key that a relay keeps for web push.
func vapidKey(t *testing.T, relay *harness.Relay) string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(relay.Dir, "data", "mpush.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var text []byte
	if err := db.QueryRow(`SELECT value FROM state WHERE channel = 'webpush' AND key = 'vapid'`).Scan(&text); err != nil {
		t.Fatal(err)
	}
	var keys struct{ PrivateKey string }
	if err := json.Unmarshal(text, &keys); err != nil || keys.PrivateKey == "" {
		t.Fatalf("%s: %v", text, err)
	}
	return keys.PrivateKey
}

// All channels, with what goes right and what goes wrong, and the log as verbose
// as it gets: nothing that is printed has a secret or a message in it.
func TestNothingPrintedHoldsSecretsOrMessages(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			secretTraffic(t, format)
		})
	}
}

func secretTraffic(t *testing.T, format string) {
	c := canaries{}
	service, e := fakepush.New(t, fakepush.Options{}), newEndpoint(t)
	messages := filepath.Join(t.TempDir(), "messages.jsonl")
	secret := make([]byte, 32)
	rand.Read(secret)
	c["a webhook's secret"] = base64.StdEncoding.EncodeToString(secret)
	good, dead := e.client("wh1"), e.client("dead")
	good["secret"], good["token"] = "whsec_"+c["a webhook's secret"], c.text("a webhook's token")
	good["url"] = good["url"].(string) + "?key=" + c.text("a webhook's query")
	dead["url"] = fmt.Sprintf("http://127.0.0.1:%d/%s?key=%s", harness.ReservePort(t), c.text("a dead webhook's path"), c.text("a dead webhook's query"))
	proxied := e.client("proxied")
	proxied["proxy"] = fmt.Sprintf("http://user:%s@127.0.0.1:%d", c.text("a proxy's password"), harness.ReservePort(t))
	config := with(harness.FixedPorts(t), pushRelay(service))
	config["log"] = harness.Object{"level": "debug", "format": format}
	config["plugins"] = filePlugin(t, messages, "all")
	config["webhook"] = hooks(200, good, dead, proxied)
	config["http"].(harness.Object)["verifyToken"] = true
	config["http"].(harness.Object)["waitTimeout"] = 500
	config["websocket"].(harness.Object)["retryTimeout"] = 200
	relay := harness.Start(t, config)
	c["the token"] = relay.Token
	text, desp, extra := c.text("a text"), c.text("a desp"), c.text("an extra")
	authorized := "Authorization: " + relay.Token

	// What goes right.
	b := newBrowser(t, relay, service, "phone", "all")
	c["a session"], c["a subscription's secret"], c["a subscription's endpoint"] = b.session, b.subscription.Auth(), strings.TrimPrefix(b.subscription.Endpoint(), service.Origin())
	c["a VAPID key"] = vapidKey(t, relay)
	sendAll := func() string {
		t.Helper()
		packet := fmt.Sprintf(`{"cmd":"MESSAGE","auth":%q,"data":{"sendType":"group","target":"all","idempotencyKey":%q,"message":{"text":%q,"desp":%q,"extra":{"x":%q}}}}`,
			b.session, rand.Text(), text, desp, extra)
		reply := relay.Do(t, postJSON("/", packet, authorized, "Prefer: wait=0"))
		return reply.Expect(t, 200, `{"cmd":"MESSAGE_REPLY","data":{"mid":"<mid>","status":{"phone":"<s>","log":"<t>"},"phone":"<s>","log":"<t>"}}`)["mid"]
	}
	first := sendAll()
	b.ExpectText(t, text)
	service.Next()
	b.Ack(t, first)
	for _, name := range []string{"wh1", "dead", "proxied", "log"} {
		target := fmt.Sprintf("/%s.send?text=%s&desp=%s&x=%s", name, text, desp, extra)
		if reply := relay.Do(t, get(target, authorized, "Prefer: wait=0")); reply.Status != 200 {
			t.Errorf("%s: %d %s", name, reply.Status, reply.Body)
		}
	}
	e.next()

	// What goes wrong: the endpoints …
	e.then(answer{status: 500}, answer{reset: true}, answer{status: 302, location: e.server.URL + "/" + c.text("where a redirect leads")})
	service.Script(fakepush.Answer{Status: 500}, fakepush.Answer{Status: 413})
	relay.Do(t, get("/wh1.send?text="+text, authorized, "Prefer: wait=0"))
	for range 4 {
		e.next()
	}
	missed := sendAll()
	b.ExpectText(t, text)
	b.ExpectText(t, text) // it was not acknowledged, and comes again
	service.Next()
	// … the senders …
	wrong := c.text("a wrong token")
	forged := b.session[:len(b.session)-6] + "AAAAAA"
	c["a forged session"] = forged
	for _, request := range []harness.Request{
		get("/phone.send?text="+text, "Authorization: "+wrong),
		get("/phone.send?text="+text+"%zz", authorized),
		get("/phone.send?text="+text+"%ff", authorized),
		get("/"+missed+".status", "Authorization: "+forged),
		postJSON("/", `{"cmd":"MESSAGE","data":{"text":"`+text, authorized),
		postJSON("/", `{"cmd":"`+text+`","auth":"`+b.session+`","data":"`+desp+`"}`, authorized),
		postJSON("/", `{"cmd":"MESSAGE","auth":"`+forged+`","data":{"sendType":"personal","target":"phone","message":{"text":"`+text+`"}}}`, authorized),
		postJSON("/", `{"cmd":"AUTH","data":{"token":"`+wrong+`","name":"x"}}`, authorized),
		postJSON("/", `{"cmd":"AUTH","data":{"token":{"a":"`+relay.Token+`"},"name":"x"}}`, authorized),
		postJSON("/phone.send", `{"text":{"a":"`+text+`"}}`, authorized),
		postJSON("/phone.send", `{"text":"`+text+`","desp":"`+strings.Repeat(desp, 50_000)+`"}`, authorized),
		postJSON("/", `{"cmd":"REGISTER_WEBPUSH","auth":"`+b.session+`","data":{"endpoint":"https://127.0.0.1/`+c.text("a refused endpoint")+`","keys":{"auth":"`+b.subscription.Auth()+`","p256dh":"x"}}}`, authorized),
		postJSON("/", `{"cmd":"REGISTER_FCM","auth":"`+b.session+`","data":{"token":"`+c.text("an FCM token")+`"}}`, authorized),
		postForm("/", "cmd=MESSAGE&data="+text+"&auth="+b.session, authorized),
		{Method: text, Target: "/" + desp, Header: []string{authorized}},
		{Target: "/" + text + " " + desp, Header: []string{authorized}},
		{Target: "/x.send", Header: []string{authorized, "Content-Length: " + text}},
	} {
		if reply := relay.Do(t, request); reply.Status == 200 || reply.Status >= 500 {
			t.Errorf("a bad request was answered %d %s", reply.Status, reply.Body)
		}
	}
	// … and the receivers.
	stranger := relay.Dial(t)
	for _, frame := range []string{
		`{"cmd":"AUTH","data":{"token":"` + wrong + `","name":"x"}}`, `{"cmd":"AUTH","data":{"token":"` + relay.Token + `"`,
		`{"cmd":"AUTH","data":{"token":["` + relay.Token + `"],"name":"x"}}`, text,
	} {
		stranger.Send(t, frame)
		stranger.Next(t)
	}
	stranger.SendAs(t, websocket.TextMessage, text+"\xff")
	relay.Dial(t).Send(t, `{"cmd":"AUTH","data":{"token":"`+relay.Token+`","name":"`+strings.Repeat(desp, 20_000)+`"}}`)

	// Channels die, then the core.
	for _, name := range []string{"http", "websocket", "webhook", "webpush", "file"} {
		if err := syscall.Kill(relay.Channel(t, name).PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	var status struct {
		Channels []struct {
			Name, State string
			Restarts    int
		}
	}
	eventually(t, "all channels run again", func() bool {
		operateJSON(t, relay, &status, "status")
		running := 0
		for _, channel := range status.Channels {
			if channel.State == "running" && channel.Restarts > 0 {
				running++
			}
		}
		return running == 5
	})
	for _, args := range [][]string{{"status"}, {"status", "--json"}, {"audit"}, {"audit", "--json"}, {"dead", "list"}, {"backup", filepath.Join(relay.Dir, "b1.db")}} {
		c.search(t, "mpush "+args[0], operates(t, relay, args...))
	}
	for _, p := range relay.Processes() {
		c.search(t, "the arguments of a process", strings.Join(p.Args, " "))
	}
	relay.Kill(t)
	checked := harness.Run(t, relay.Dir, nil, "check", "--config", "config.json")
	if checked.Code != 0 {
		t.Errorf("mpush check: exit code %d", checked.Code)
	}
	c.search(t, "mpush check", checked.Stdout+checked.Stderr)
	relay.Start(t)
	relay.Stop(t)
	c.search(t, "the log", relay.Log())
	if lines := strings.Count(relay.Log(), "\n"); lines < 20 {
		t.Errorf("the log has only %d lines: what was searched?", lines)
	}
}
