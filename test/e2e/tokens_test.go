package e2e

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"mpush/test/harness"
)

// The values of this test's tokens beside the single one.
const (
	ciToken    = "value-of-the-token-ci-0123456789"
	phoneToken = "value-of-the-token-phone-0123456789"
	homeToken  = "value-of-the-token-home-0123456789"
)

// narrowTokens are one that may send to phone alone, one that may be phone alone,
// and one that may be and reach all of home-*.
func narrowTokens() []any {
	return []any{
		harness.Object{"name": "ci", "token": ciToken, "rights": []string{"send"}, "targets": harness.Object{"names": []string{"phone"}}},
		harness.Object{"name": "phone", "sha256": fmt.Sprintf("%x", sha256.Sum256([]byte(phoneToken))), "rights": []string{"receive"}, "names": []string{"phone"}},
		harness.Object{"name": "home", "token": homeToken, "rights": []string{"send", "receive"}, "names": []string{"home-*"}, "groups": []string{"family"},
			"targets": harness.Object{"names": []string{"home-*"}, "groups": []string{"family"}}},
	}
}

func authorization(token string) string { return "authorization: Bearer " + token }

func greeting(target string) string {
	return `{"cmd":"MESSAGE","data":{"sendType":"personal","target":"` + target + `","message":{"text":"hello"}}}`
}

func refusedAuth(msg string) string {
	text, _ := json.Marshal(msg)
	return `{"cmd":"AUTH","data":{"code":403,"msg":` + string(text) + `}}`
}

// "A token with rights for one name cannot send, receive or ack for another, over
// HTTP, websocket, JWT reuse, or a plugin": a plugin's stream is core/link's test.
func TestTokenForOneNameIsGoodForNoOther(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, harness.Object{"http": harness.Object{"verifyToken": true}, "tokens": narrowTokens()})
	single := authorization(relay.Token)
	relay.Away(t, "tv", "family")

	// Sending over HTTP.
	for _, row := range []struct {
		token, target string
		refusal       string
	}{
		{ciToken, "/phone.send", ""},
		{ciToken, "/tv.send", `token "ci" may not send to "tv"`},
		{ciToken, "/family.group", `token "ci" may not send to the group "family"`},
		{phoneToken, "/phone.send", `token "phone" may not send: its rights are receive`},
		{homeToken, "/home-1.send", ""},
		{homeToken, "/family.group", ""},
		{homeToken, "/tv.send", `token "home" may not send to "tv"`},
		{relay.Token, "/tv.send", ""},
	} {
		reply := relay.Do(t, get(row.target+"?text=hello", authorization(row.token), "Prefer: wait=0"))
		if row.refusal != "" {
			reply.ExpectInfo(t, 403, row.refusal)
		} else if reply.Status != 200 {
			t.Errorf("%+v: %+v", row, reply)
		}
	}
	relay.Do(t, get("/phone.send?text=hello", "authorization: "+ciToken)).Expect(t, 200, `{"cmd":"MESSAGE_REPLY","data":{"status":{"phone":"no"},"phone":"no"}}`) // without a scheme
	relay.Do(t, get("/phone.send?text=hello", authorization(ciToken+"x"))).ExpectInfo(t, 401, "Token invalid")

	// Statuses: of everybody's messages with the single token alone.
	mid := relay.Do(t, get("/tv.send?text=of+tv", single, "Prefer: wait=0")).ExpectStatuses(t, statuses{"tv": "ready"})
	relay.Do(t, get("/"+mid+".status", authorization(homeToken))).ExpectInfo(t, 403, `token "home" may not ask about others' messages`)
	stillReady := func() {
		t.Helper()
		relay.Do(t, get("/"+mid+".status", single)).ExpectStatuses(t, statuses{"tv": "ready"})
	}

	// Logging in over HTTP.
	for _, row := range [][3]string{
		{phoneToken, "tv", `token "phone" may not receive as "tv"`}, {ciToken, "phone", `token "ci" may not receive: its rights are send`},
		{homeToken, "phone", `token "home" may not receive as "phone"`},
	} {
		relay.Do(t, postJSON("/", harness.AuthPacket(row[0], row[1], ""), single)).Expect(t, 403, refusedAuth(row[2]))
	}
	relay.Do(t, postJSON("/", harness.AuthPacket(phoneToken, "phone", "family"), single)).Expect(t, 403, refusedAuth(`token "phone" may not join the group "family"`))

	// Over a websocket, where the socket stays and may try again.
	phone := relay.Dial(t)
	phone.Send(t, harness.AuthPacket(phoneToken, "tv", ""))
	phone.Expect(t, refusedAuth(`token "phone" may not receive as "tv"`))
	session := phone.Auth(t, phoneToken, "phone", "")
	phone.Send(t, greeting("tv"))
	phone.ExpectInfo(t, `token "phone" may not send: its rights are receive`)
	home := relay.Dial(t)
	homeSession := home.Auth(t, homeToken, "home-1", "family")
	home.Send(t, greeting("phone"))
	home.ExpectInfo(t, `token "home" may not send to "phone"`)

	// With a session: no more than its token may, whatever token comes with it.
	callback := func(auth string) string {
		return `{"cmd":"MESSAGE_CALLBACK","data":{"mid":"` + mid + `"},"auth":"` + auth + `"}`
	}
	withAuth := func(packet, auth string) string { return strings.TrimSuffix(packet, "}") + `,"auth":"` + auth + `"}` }
	relay.Do(t, postJSON("/", withAuth(greeting("phone"), session), single)).ExpectInfo(t, 403, `token "phone" may not send`)
	relay.Do(t, postJSON("/", withAuth(greeting("tv"), homeSession), single)).ExpectInfo(t, 403, `token "home" may not send to "tv"`)
	relay.Do(t, postJSON("/", callback(session), authorization(phoneToken))).ExpectInfo(t, 200, "ok") // for itself, and so ignored
	stillReady()
	tv := relay.Do(t, postJSON("/", harness.AuthPacket(relay.Token, "tv", "family"), single)).
		Expect(t, 200, `{"cmd":"AUTH","data":{"code":200,"auth":"<auth>","msg":"Successful authentication"}}`)["auth"]
	for _, packet := range []string{callback(tv), `{"cmd":"UNREGISTER","auth":"` + tv + `"}`, `{"cmd":"REGISTER_WEBPUSH","data":{},"auth":"` + tv + `"}`} {
		relay.Do(t, postJSON("/", packet, authorization(phoneToken))).ExpectInfo(t, 403, `token "phone" may not receive as "tv"`)
	}
	stillReady()

	// And what it is for works.
	reply := relay.Begin(t, get("/phone.send?text=hello", authorization(ciToken)))
	phone.Take(t, "hello")
	reply().ExpectStatuses(t, statuses{"phone": "ok"})
}

// Without http.verifyToken, senders that show nothing send as ever.
func TestSendersNeedNoTokenWhereNoneIsAskedFor(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, harness.Object{"token": "", "tokens": narrowTokens()})
	phone := relay.Dial(t)
	// There is no single token, so an empty one is none.
	phone.Send(t, harness.AuthPacket("", "phone", ""))
	phone.Expect(t, refusedAuth("Token invalid"))
	phone.Auth(t, phoneToken, "phone", "")
	reply := relay.Begin(t, get("/phone.send?text=hello"))
	phone.Take(t, "hello")
	reply().ExpectStatuses(t, statuses{"phone": "ok"})
}

func TestTokenIsMadeAndRevokedWhileTheRelayRuns(t *testing.T) {
	t.Parallel()
	r := startReloading(t, harness.Object{"tokens": narrowTokens()})
	tv := r.Receiver(t, "tv")
	home := r.Dial(t)
	home.Auth(t, homeToken, "home-1", "family")
	var made struct{ Name, Token, Config string }
	mpush := func(args ...string) string {
		t.Helper()
		got := harness.Run(t, r.Dir, nil, append(args, "--config", "config.json")...)
		if got.Code != 0 {
			t.Fatalf("%q: %s", args, got.Stderr)
		}
		return got.Stdout
	}
	r.expect(func() {
		answer := mpush("token", "new", "laptop", "--rights", "receive", "--name", "laptop-*", "--expires", "90d", "--write", "--json")
		if err := json.Unmarshal([]byte(answer), &made); err != nil || len(made.Token) != 64 || made.Config != "config.json" {
			t.Fatalf("%s: %v", answer, err)
		}
	}, "configuration reloaded", "tokens")
	laptop := r.Dial(t)
	session := laptop.Auth(t, made.Token, "laptop-1", "")
	if list := mpush("token", "list"); !strings.Contains(list, "laptop-*") || strings.Contains(list, made.Token) || strings.Contains(list, ciToken) {
		t.Errorf("listed:\n%s", list)
	}
	r.expect(func() { mpush("token", "revoke", "laptop") }, "configuration reloaded", "tokens")
	if code := laptop.ExpectEnd(t); code != 1008 {
		t.Errorf("its socket is closed with %d", code)
	}
	again := r.Dial(t)
	again.Send(t, harness.AuthPacket(made.Token, "laptop-1", ""))
	again.Expect(t, refusedAuth("Token invalid"))
	r.PostJSON(t, "/", `{"cmd":"MESSAGE_CALLBACK","data":{"mid":"1"},"auth":"`+session+`"}`).ExpectInfo(t, 401, "invalid session")
	// Nobody else has noticed.
	for name, socket := range map[string]*harness.Client{"tv": tv, "home-1": home} {
		reply := r.Begin(t, get("/"+name+".send?text=hello"))
		socket.Take(t, "hello")
		reply().ExpectStatuses(t, statuses{name: "ok"})
	}
	if got := harness.Run(t, r.Dir, nil, "token", "revoke", "laptop", "--config", "config.json"); got.Code != 1 || !strings.Contains(got.Stderr, `there is no token "laptop"`) {
		t.Errorf("revoked twice: %+v", got)
	}
}

func TestExpiryOfATokenEndsItsConnectionsAndNoOthers(t *testing.T) {
	t.Parallel()
	r := startReloading(t, harness.Object{"tokens": narrowTokens()})
	tv, phone := r.Receiver(t, "tv"), r.Dial(t)
	phone.Auth(t, phoneToken, "phone", "")
	tokens := narrowTokens()
	// So late that the reload is over by then.
	tokens[1].(harness.Object)["expires"] = time.Now().Add(5 * time.Second).Format(time.RFC3339)
	r.reload(harness.Object{"tokens": tokens}, "tokens")
	phone.ExpectEnd(t)
	phone = r.Dial(t)
	phone.Send(t, harness.AuthPacket(phoneToken, "phone", ""))
	phone.Expect(t, refusedAuth("Token invalid"))
	reply := r.Begin(t, get("/tv.send?text=hello"))
	tv.Take(t, "hello")
	reply().ExpectStatuses(t, statuses{"tv": "ok"})
}
