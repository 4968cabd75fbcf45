package http

import (
	"testing"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

func packetOf(cmd, data, auth string) string {
	body := `{"cmd":"` + cmd + `"`
	if data != "" {
		body += `,"data":` + data
	}
	if auth != "" {
		body += `,"auth":"` + auth + `"`
	}
	return postJSON("/", body+"}")
}

func TestCommands(t *testing.T) {
	core := start(t, "", plugintest.Options{
		Announcements: map[string]string{"someKey": `"k"`},
		Command: func(c *pluginpb.ClientCommand) *pluginpb.CommandResult {
			switch c.GetCommand() {
			case "SAY":
				return &pluginpb.CommandResult{Info: "said"}
			case "REGISTER_SOMETHING":
				return &pluginpb.CommandResult{}
			}
			return &pluginpb.CommandResult{Error: &pluginpb.Error{Code: sdk.CodeUnknownCommand, Message: "unknown command"}}
		},
	})
	phone := core.Session("phone", "")
	signedIn := `{"cmd":"AUTH","data":{"code":200,"auth":"auth/g/phone","msg":"Successful authentication","someKey":"k"}}`
	runRows(t, core, []row{
		{"AUTH", packetOf("AUTH", `{"token":"test","name":"phone","group":"g"}`, ""), 200, signedIn, []string{"authenticate phone/g token=test"}},
		{"AUTH checks the token", packetOf("AUTH", `{"token":"wrong","name":"phone"}`, ""), 403, `{"cmd":"AUTH","data":{"code":403,"msg":"Token invalid"}}`, []string{"authenticate phone/ token=wrong"}},
		{"AUTH without a token", packetOf("AUTH", `{"name":"phone"}`, ""), 403, `{"cmd":"AUTH","data":{"code":403,"msg":"Token invalid"}}`, []string{"authenticate phone/"}},
		{"AUTH without a name", packetOf("AUTH", `{"token":"test"}`, ""), 400, info("data.name: expected a name, not nothing"), nil},
		{"AUTH with an object as name", packetOf("AUTH", `{"token":"test","name":{}}`, ""), 400, info("data.name: expected a string"), nil},
		{"AUTH without data", packetOf("AUTH", ``, ""), 400, info("data: expected an object"), nil},

		{"MESSAGE_CALLBACK", packetOf("MESSAGE_CALLBACK", `{"mid":"7"}`, phone), 200, info("ok"), []string{"confirm 7 trusted auth=auth//phone"}},
		{"a number as mid", packetOf("MESSAGE_CALLBACK", `{"mid":7}`, phone), 200, info("ok"), []string{"confirm 7 trusted auth=auth//phone"}},
		{"a urlencoded callback", postForm("/", "cmd=MESSAGE_CALLBACK&data={%22mid%22:%227%22}&auth=auth//phone"), 200, info("ok"), []string{"confirm 7 trusted auth=auth//phone"}},
		{"MESSAGE_CALLBACK without auth", packetOf("MESSAGE_CALLBACK", `{"mid":"7"}`, ""), 401, info("auth: missing"), nil},
		{"MESSAGE_CALLBACK with a forged auth", packetOf("MESSAGE_CALLBACK", `{"mid":"7"}`, "x"), 401, info("auth invalid"), []string{"confirm 7 trusted auth=x"}},
		{"MESSAGE_CALLBACK without mid", packetOf("MESSAGE_CALLBACK", `{}`, phone), 400, info("data.mid: expected the decimal digits of a message's mid"), nil},

		{"a claimed command", packetOf("SAY", `{"a":1}`, phone), 200, info("said"), []string{`command SAY {"a":1} trusted auth=auth//phone`}},
		{"one with nothing to say", packetOf("REGISTER_SOMETHING", ``, phone), 200, info("ok"), []string{"command REGISTER_SOMETHING null trusted auth=auth//phone"}},
		{"one that nobody claims", packetOf("NOPE", ``, phone), 400, info("unknown command"), []string{"command NOPE null trusted auth=auth//phone"}},
		{"a command without auth", packetOf("SAY", ``, ""), 401, info("auth missing"), []string{"command SAY null trusted"}},

		{"UNREGISTER", packetOf("UNREGISTER", ``, phone), 200, info("ok"), []string{"unregister trusted auth=auth//phone"}},
		{"UNREGISTER without auth", packetOf("UNREGISTER", ``, ""), 401, info("auth: missing"), nil},
		{"TEST_HTTP", packetOf("TEST_HTTP", ``, ""), 200, "", nil},
		{"a urlencoded TEST_HTTP", postForm("/x", "cmd=TEST_HTTP"), 200, "", nil},
	})
}

func TestAuthTellsOfANameInUseAndOfPassingFaults(t *testing.T) {
	var code sdk.Code
	core := start(t, "", plugintest.Options{Answer: func(e *pluginpb.PluginEnvelope) *pluginpb.CoreEnvelope {
		if e.GetAuthenticate() == nil {
			return nil
		}
		return &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Session{Session: &pluginpb.SessionResult{
			Error: &pluginpb.Error{Code: code, Message: "why"},
		}}}
	}})
	for refusal, want := range map[sdk.Code]answer{
		sdk.CodeNameInUse:   {status: 403, body: `{"cmd":"AUTH","data":{"code":403,"msg":"The name [phone] is already used"}}`},
		sdk.CodeForbidden:   {status: 403, body: `{"cmd":"AUTH","data":{"code":403,"msg":"why"}}`},
		sdk.CodeUnavailable: {status: 503, body: info("why")},
		sdk.CodeLimit:       {status: 429, body: info("why")},
	} {
		code = refusal
		got := exchange(t, core, packetOf("AUTH", `{"token":"test","name":"phone"}`, ""))
		if got.status != want.status || got.body != want.body {
			t.Errorf("%v: got %d %s", refusal, got.status, got.body)
		}
	}
}

// With verifyToken a stranger learns nothing but that the token is wrong, and
// who knows the token costs the core one question.
func TestVerifyToken(t *testing.T) {
	core := start(t, `"verifyToken":true`, plugintest.Options{Publish: replies("phone")})
	phone := core.Session("phone", "")
	const raw, bearer, wrong = "authorization: test", "Authorization: bearer  test", "authorization: wrong"
	refused := info("Token invalid")
	callback := `{"cmd":"MESSAGE_CALLBACK","data":{"mid":"7"},"auth":"` + phone + `"}`
	runRows(t, core, []row{
		{"the raw token", get("/phone.send", raw), 200, replied, []string{`personal phone "" "" {} token=test`}},
		{"a bearer token", get("/phone.send", bearer), 200, replied, []string{`personal phone "" "" {} token=test`}},
		{"a wrong token", get("/phone.send", wrong), 401, refused, []string{`personal phone "" "" {} token=wrong`}},
		{"no token", get("/phone.send"), 401, refused, []string{"check"}},
		{"another scheme", get("/phone.send", "authorization: basic test"), 401, refused, []string{`personal phone "" "" {} token=basic test`}},
		{"a session does not do instead", postJSON("/", callback), 401, refused, []string{"check"}},
		{"nor for a message", postJSON("/", `{"cmd":"MESSAGE","auth":"`+phone+`","data":{"sendType":"personal","target":"phone","message":{}}}`), 401, refused, []string{"check"}},
		{"nor for a command", packetOf("SAY", "", phone), 401, refused, []string{"check"}},
		{"both", postJSON("/", callback, raw), 200, info("ok"), []string{"confirm 7 token=test auth=auth//phone"}},
		{"no session", packetOf("MESSAGE_CALLBACK", `{"mid":"7"}`, ""), 401, refused, []string{"check"}},
		{"UNREGISTER", postJSON("/", `{"cmd":"UNREGISTER","auth":"`+phone+`"}`, raw), 200, info("ok"), []string{"check token=test", "unregister token=test auth=auth//phone"}},
		{"UNREGISTER by a stranger", postJSON("/", `{"cmd":"UNREGISTER","auth":"`+phone+`"}`, wrong), 401, refused, []string{"check token=wrong"}},
		{"AUTH", postJSON("/", `{"cmd":"AUTH","data":{"token":"test","name":"phone"}}`, raw), 200, `{"cmd":"AUTH","data":{"code":200,"auth":"auth//phone","msg":"Successful authentication"}}`, []string{"check token=test", "authenticate phone/ token=test"}},
		{"AUTH by a stranger", postJSON("/", `{"cmd":"AUTH","data":{"token":"test","name":"phone"}}`), 401, refused, []string{"check"}},
		{"TEST_HTTP", postJSON("/", `{"cmd":"TEST_HTTP"}`, raw), 200, "", []string{"check token=test"}},
		{"TEST_HTTP by a stranger", postJSON("/", `{"cmd":"TEST_HTTP"}`), 401, refused, []string{"check"}},
		{"a path", get("/nothing", raw), 404, info(notFound), []string{"check token=test"}},
		{"a path for a stranger", get("/nothing"), 401, refused, []string{"check"}},
		{"a method for a stranger", request("PUT", "/", ""), 401, refused, []string{"check"}},
		{"a type for a stranger", request("POST", "/", "a", "content-type: text/plain"), 401, refused, []string{"check"}},
		{"a body for a stranger", postJSON("/", `{`), 401, refused, []string{"check"}},
	})
	if got := exchange(t, core, request("OPTIONS", "/", "")); got.status != 200 || got.body != "" {
		t.Errorf("OPTIONS: %+v", got)
	}
	nothingAsked(t, core)
}

func TestCORS(t *testing.T) {
	core := start(t, "", plugintest.Options{})
	got := exchange(t, core, request("OPTIONS", "/phone.send", "", "Origin: https://app.example", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization, x-other"))
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "https://app.example", "Access-Control-Allow-Methods": "POST",
		"Access-Control-Allow-Headers": "authorization, x-other", "Vary": "Origin",
	} {
		if got.status != 200 || got.body != "" || got.header.Get(name) != want {
			t.Errorf("OPTIONS: %d %q, %s: %q", got.status, got.body, name, got.header.Get(name))
		}
	}
	for _, uri := range []string{"/phone.send", "/nothing"} {
		got := exchange(t, core, get(uri, "Origin: null"))
		if got.header.Get("Access-Control-Allow-Origin") != "null" {
			t.Errorf("%s: %v", uri, got.header)
		}
	}
	if got := exchange(t, core, get("/phone.send")); got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("without origin: %v", got.header)
	}
}

func TestCORSOff(t *testing.T) {
	core := start(t, `"cors":false`, plugintest.Options{})
	if got := exchange(t, core, request("OPTIONS", "/", "", "Origin: https://app.example", "Access-Control-Request-Method: POST")); got.status != 403 || got.header.Get("Access-Control-Allow-Methods") != "" {
		t.Errorf("OPTIONS: %+v", got)
	}
	if got := exchange(t, core, get("/phone.send", "Origin: https://app.example")); got.status != 200 || got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("GET: %+v", got)
	}
}
