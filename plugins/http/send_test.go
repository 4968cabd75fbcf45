package http

import (
	"strings"
	"testing"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

func get(uri string, headers ...string) string { return request("GET", uri, "", headers...) }

func postJSON(uri, body string, headers ...string) string {
	return request("POST", uri, body, append(headers, asJSON)...)
}

func postForm(uri, body string, headers ...string) string {
	return request("POST", uri, body, append(headers, asForm)...)
}

// Each row is a line of the wire, as far as the channel alone decides it.
func TestSending(t *testing.T) {
	core := start(t, "", plugintest.Options{Publish: replies("phone")})
	long := strings.Repeat("x", 256)
	runRows(t, core, []row{
		{"GET", get("/phone.send?text=hello&desp=world"), 200, replied, []string{`personal phone "hello" "world" {} trusted`}},
		{"GET without parameters", get("/phone.send"), 200, replied, []string{`personal phone "" "" {} trusted`}},
		{"GET to a group", get("/home.group?text=a"), 200, replied, []string{`group home "a" "" {} trusted`}},
		{"a reverse proxy's prefix", get("/mpush/v2/phone.send?text=a"), 200, replied, []string{`personal phone "a" "" {} trusted`}},
		{"an escaped slash", get("/mpush/a%2Fb.send"), 200, replied, []string{`personal a/b "" "" {} trusted`}},
		{"dots", get("/a.b.send.group.send"), 200, replied, []string{`personal a.b.send.group "" "" {} trusted`}},
		{"an escaped dot", get("/phone%2Esend"), 200, replied, []string{`personal phone "" "" {} trusted`}},
		{"an escaped name", get("/%E6%89%8B%E6%9C%BA%20+.send"), 200, replied, []string{`personal 手机 + "" "" {} trusted`}},
		{"a raw name", get("/手机.send?text=你"), 200, replied, []string{`personal 手机 "你" "" {} trusted`}},
		{"the longest name", get("/" + long + ".send"), 200, replied, []string{`personal ` + long + ` "" "" {} trusted`}},
		{"an absolute form", get("http://mpush/phone.send?text=a"), 200, replied, []string{`personal phone "a" "" {} trusted`}},
		{"extra", get("/phone.send?text=a&z=233&b=%7B%22hello%22:1%7D"), 200, replied, []string{`personal phone "a" "" {"b":"{\"hello\":1}","z":"233"} trusted`}},
		{"a repeated parameter", get("/phone.send?a=1&b=x&a=2&a=&c"), 200, replied, []string{`personal phone "" "" {"a":["1","2",""],"b":"x","c":""} trusted`}},
		{"plus and empty pairs", get("/phone.send?&text=a+b%2B&&"), 200, replied, []string{`personal phone "a b+" "" {} trusted`}},
		{"a semicolon", get("/phone.send?text=a;b"), 200, replied, []string{`personal phone "a;b" "" {} trusted`}},
		{"title for text", get("/phone.send?title=a&desp=b"), 200, replied, []string{`personal phone "a" "b" {} trusted`}},
		{"title beside text", get("/phone.send?title=a&text=b"), 200, replied, []string{`personal phone "b" "" {"title":"a"} trusted`}},
		{"cmd in a query", get("/phone.send?cmd=MESSAGE"), 200, replied, []string{`personal phone "" "" {"cmd":"MESSAGE"} trusted`}},

		{"POST of a form", postForm("/phone.send", "text=a+b&desp=%E4%BD%A0&x=1&x=2"), 200, replied, []string{`personal phone "a b" "你" {"x":["1","2"]} trusted`}},
		{"a form with charset", request("POST", "/home.group", "title=a", "content-type: Application/X-WWW-Form-Urlencoded; charset=utf-8"), 200, replied, []string{`group home "a" "" {} trusted`}},
		{"POST without body", request("POST", "/phone.send?text=a", ""), 200, replied, []string{`personal phone "a" "" {} trusted`}},
		{"JSON without a body", request("POST", "/phone.send?text=a&x=1", "", asJSON), 200, replied, []string{`personal phone "a" "" {"x":"1"} trusted`}},
		{"JSON with an empty chunked body", "POST /phone.send?text=a HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\n" + asJSON + "\r\n\r\n0\r\n\r\n", 200, replied, []string{`personal phone "a" "" {} trusted`}},
		{"POST of flat JSON", postJSON("/phone.send", `{"title":"a","desp":5,"n":9007199254740993,"o":{"x":null}}`), 200, replied, []string{`personal phone "a" "5" {"n":9007199254740993,"o":{"x":null}} trusted`}},
		{"flat JSON to a group", postJSON("/home.group?text=ignored", `{}`), 200, replied, []string{`group home "" "" {} trusted`}},
		{"a chunked body", "POST /phone.send HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\n" + asJSON + "\r\n\r\n3\r\n{\"t\r\n9\r\next\":\"a\"}\r\n0\r\n\r\n", 200, replied, []string{`personal phone "a" "" {} trusted`}},

		{"MESSAGE", postJSON("/", `{"cmd":"MESSAGE","data":{"sendType":"personal","target":"phone","message":{"text":"a","desp":null,"extra":{"n": 9007199254740993}}}}`), 200, replied, []string{`personal phone "a" "" {"n": 9007199254740993} trusted`}},
		{"MESSAGE to a group", postJSON("/any/path", `{"cmd":"MESSAGE","data":{"sendType":"group","target":"home","message":{}}}`), 200, replied, []string{`group home "" "" {} trusted`}},
		{"MESSAGE on a name's path", postJSON("/other.send", `{"cmd":"MESSAGE","data":{"sendType":"personal","target":"phone","message":{"extra":5}}}`), 200, replied, []string{`personal phone "" "" {} trusted`}},
		{"MESSAGE with auth", postJSON("/", `{"auth":"`+core.Session("pc", "")+`","cmd":"MESSAGE","data":{"sendType":"personal","target":"phone","message":{}}}`), 200, replied, []string{`personal phone "" "" {} trusted auth=auth//pc`}},
		{"MESSAGE with a forged auth", postJSON("/", `{"auth":"x","cmd":"MESSAGE","data":{"sendType":"personal","target":"phone","message":{}}}`), 401, info("auth invalid"), []string{`personal phone "" "" {} trusted auth=x`}},
		{"a urlencoded MESSAGE", postForm("/", "cmd=MESSAGE&data=%7B%22sendType%22%3A%22personal%22%2C%22target%22%3A%22phone%22%2C%22message%22%3A%7B%22text%22%3A%22a%22%7D%7D&auth=auth%2F%2Fpc"), 200, replied, []string{`personal phone "a" "" {} trusted auth=auth//pc`}},
		{"other JSON types", request("POST", "/phone.send", `{"text":1.50}`, "content-type: application/vnd.api+json"), 200, replied, []string{`personal phone "1.50" "" {} trusted`}},

		{"Prefer", get("/phone.send", "prefer: respond-async, Wait=2"), 200, replied, []string{`personal phone "" "" {} wait=2000 trusted`}},
		{"Prefer not to wait", get("/phone.send", "prefer: wait=0"), 200, replied, []string{`personal phone "" "" {} wait=0 trusted`}},
		{"Prefer only shortens", get("/phone.send", "prefer: wait=999999999999"), 200, replied, []string{`personal phone "" "" {} trusted`}},
		{"Prefer nonsense", get("/phone.send", "prefer: wait=-1;x, hurry"), 200, replied, []string{`personal phone "" "" {} trusted`}},
	})
}

// A fault is named, has its status, and queues nothing.
func TestBadRequests(t *testing.T) {
	core := start(t, `"maxBody":2048`, plugintest.Options{})
	message := func(data string) string { return postJSON("/", `{"cmd":"MESSAGE","data":`+data+`}`) }
	deep := strings.Repeat("[", 1000) + strings.Repeat("]", 1000)
	runRows(t, core, []row{
		{"no path", get("/"), 404, info(notFound), nil},
		{"another path", get("/phone.sends"), 404, info(notFound), nil},
		{"a directory", get("/phone.send/"), 404, info(notFound), nil},
		{"no name", get("/.send"), 400, info("path: expected a name, not nothing"), nil},
		{"no group", get("/.group"), 400, info("path: expected a name, not nothing"), nil},
		{"no group, posted", postForm("/.group", "text=a"), 400, info("path: expected a name, not nothing"), nil},
		{"no group, posted JSON", postJSON("/.group", `{"text":"a"}`), 400, info("path: expected a name, not nothing"), nil},
		{"a long name", get("/" + strings.Repeat("x", 257) + ".send"), 400, info("path: longer than 256 bytes"), nil},
		{"NUL in a name", get("/a%00.send"), 400, info("path: control characters are not allowed"), nil},
		{"bad UTF-8 in a name", get("/a%FF.send"), 400, info("path: not valid UTF-8"), nil},
		{"bad UTF-8 elsewhere", get("/a%FF"), 400, info("path: not valid UTF-8"), nil},
		{"bad escape in a value", get("/phone.send?text=a&desp=%zz"), 400, `{"cmd":"INFO","data":"parameter \"desp\": invalid percent-encoding"}`, nil},
		{"bad UTF-8 in a value", get("/phone.send?text=%ff"), 400, `{"cmd":"INFO","data":"parameter \"text\": not valid UTF-8"}`, nil},
		{"bad escape in a name", get("/phone.send?text=a&%=1"), 400, info("the name of parameter 2: invalid percent-encoding"), nil},
		{"text twice", get("/phone.send?text=a&text=b"), 400, `{"cmd":"INFO","data":"parameter \"text\": given more than once"}`, nil},
		{"too many parameters", get("/phone.send?" + strings.Repeat("a&", 1025)), 400, info("more than 1024 parameters"), nil},

		{"PUT", request("PUT", "/phone.send", ""), 405, info("use GET or POST"), nil},
		{"DELETE", request("DELETE", "/phone.send", ""), 405, info("use GET or POST"), nil},
		{"text", request("POST", "/phone.send", "hello", "content-type: text/plain"), 415, info("expected content-type application/json or application/x-www-form-urlencoded"), nil},
		{"no type", request("POST", "/phone.send", "text=a"), 415, info("expected content-type application/json or application/x-www-form-urlencoded"), nil},
		{"a large body", postJSON("/phone.send", `{"text":"`+strings.Repeat("x", 2048)+`"}`), 413, info("http.maxBody: the body is larger than 2048 bytes"), nil},
		{"a large chunked body", "POST /phone.send HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\n" + asJSON + "\r\n\r\n801\r\n" + strings.Repeat("x", 2049) + "\r\n0\r\n\r\n", 413, info("http.maxBody: the body is larger than 2048 bytes"), nil},

		{"no JSON", postJSON("/phone.send", `{"text":`), 400, info("not JSON: it ends too early"), nil},
		{"an empty body", request("POST", "/phone.send", "", asJSON), 400, info("not JSON: it ends too early"), nil},
		{"an empty body with a query nowhere", request("POST", "/?text=a", "", asJSON), 400, info("cmd: expected a string"), nil},
		{"an array", postJSON("/phone.send", `["a"]`), 400, info("expected a packet: a JSON object"), nil},
		{"bad UTF-8", postJSON("/phone.send", "{\"text\":\"\xff\"}"), 400, info("not valid UTF-8"), nil},
		{"deep nesting", postJSON("/phone.send", `{"a":`+deep+`}`), 400, info("nested deeper than 64 levels"), nil},
		{"a flat object as text", postJSON("/phone.send", `{"text":{"a":1}}`), 400, info("text: expected a string"), nil},
		{"flat JSON nowhere", postJSON("/", `{"text":"a"}`), 400, info("cmd: expected a string"), nil},
		{"a form nowhere", postForm("/", "text=a"), 400, info("cmd: expected a string"), nil},
		{"JSON as a form", postForm("/phone.send", `{"text":"a"}`), 400, info("the body looks like JSON, but its content-type says that it is a form: expected application/json"), nil},
		{"a form that is no UTF-8", postForm("/phone.send", "text=\xff"), 400, `{"cmd":"INFO","data":"parameter \"text\": not valid UTF-8"}`, nil},
		{"a form's data", postForm("/", "cmd=MESSAGE&data={"), 400, info("data: not JSON: it ends too early"), nil},
		{"a form with two cmds", postForm("/", "cmd=MESSAGE&cmd=AUTH"), 400, `{"cmd":"INFO","data":"parameter \"cmd\": given more than once"}`, nil},
		{"cmd is a number", postJSON("/phone.send", `{"cmd":5}`), 400, info("cmd: expected the name of a command"), nil},

		{"MESSAGE without data", postJSON("/", `{"cmd":"MESSAGE"}`), 400, info("data: expected an object"), nil},
		{"MESSAGE of no type", message(`{"target":"phone","message":{}}`), 400, `{"cmd":"INFO","data":"data.sendType: expected \"personal\" or \"group\""}`, nil},
		{"MESSAGE to nobody", message(`{"sendType":"personal","message":{}}`), 400, info("data.target: expected a name, not nothing"), nil},
		{"MESSAGE to the empty group", message(`{"sendType":"group","target":"","message":{}}`), 400, info("data.target: expected a name, not nothing"), nil},
		{"MESSAGE with an object as target", message(`{"sendType":"personal","target":{},"message":{}}`), 400, info("data.target: expected a string"), nil},
		{"MESSAGE with an array as text", message(`{"sendType":"personal","target":"phone","message":{"text":[]}}`), 400, info("data.message.text: expected a string"), nil},
		{"MESSAGE without message", message(`{"sendType":"personal","target":"phone"}`), 400, info("data.message: expected an object"), nil},
	})
	head := exchange(t, core, request("HEAD", "/phone.send?text=a", ""))
	if head.status != 405 || head.header.Get("Allow") != "GET, POST, OPTIONS" {
		t.Errorf("HEAD: %+v", head)
	}
	nothingAsked(t, core)
}

func TestStatusesOfAReply(t *testing.T) {
	results := map[string]*pluginpb.PublishResult{
		"ghost":  {Statuses: []*pluginpb.ReceiverStatus{{Receiver: "ghost", Status: "no"}}},
		"nobody": {},
		"mid":    {Mid: 9, Statuses: []*pluginpb.ReceiverStatus{{Receiver: "mid", Status: "ready"}}},
	}
	core := start(t, "", plugintest.Options{Publish: func(p *pluginpb.Publish) *pluginpb.PublishResult { return results[p.GetTarget()] }})
	for uri, want := range map[string]string{
		"/ghost.send":   `{"cmd":"MESSAGE_REPLY","data":{"status":{"ghost":"no"},"ghost":"no"}}`,
		"/nobody.group": `{"cmd":"MESSAGE_REPLY","data":{"status":{}}}`,
		"/mid.send":     `{"cmd":"MESSAGE_REPLY","data":{"mid":"9","status":{"mid":"ready"}}}`,
	} {
		if got := exchange(t, core, get(uri)); got.status != 200 || got.body != want {
			t.Errorf("%s: got %d %s", uri, got.status, got.body)
		}
	}
}

func TestRefusalsOfTheCoreHaveTheirStatus(t *testing.T) {
	var code sdk.Code
	core := start(t, "", plugintest.Options{Publish: func(*pluginpb.Publish) *pluginpb.PublishResult {
		return &pluginpb.PublishResult{Error: &pluginpb.Error{Code: code, Message: "why"}}
	}})
	for refusal, status := range map[sdk.Code]int{
		sdk.CodeInvalid: 400, sdk.CodeUnknownCommand: 400, sdk.CodeUnauthenticated: 401, sdk.CodeForbidden: 403,
		sdk.CodeNameInUse: 403, sdk.CodeTooLarge: 413, sdk.CodeLimit: 429, sdk.CodeUnavailable: 503, 99: 503,
	} {
		code = refusal
		got := exchange(t, core, get("/phone.send"))
		if got.status != status || got.body != info("why") {
			t.Errorf("%v: got %d %s, want %d", refusal, got.status, got.body, status)
		}
		if (got.header.Get("WWW-Authenticate") != "") != (status == 401) {
			t.Errorf("%d: WWW-Authenticate %q", status, got.header.Get("WWW-Authenticate"))
		}
	}
}
