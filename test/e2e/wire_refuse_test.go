package e2e

import (
	"fmt"
	"strings"
	"testing"

	"mpush/test/harness"
)

// refusal is a request that is answered with an INFO packet and a status, and
// queues nothing for NAME or GROUP.
type refusal struct {
	line    string
	request harness.Request
	status  int
	info    string // part of what the answer says
	strict  bool   // at the strict relay, with its token in place of TOKEN
}

func messagePacket(data string) harness.Request {
	return postJSON("/", `{"cmd":"MESSAGE","data":`+data+`}`)
}

func refusals() []refusal {
	const toNAME = `"sendType":"personal","target":"NAME"`
	deep := strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)
	big := strings.Repeat("x", maxBytes+1)
	token := "Authorization: TOKEN"
	return []refusal{
		{line: "400 bad packet: no JSON", request: postJSON("/NAME.send", `{"text":`), status: 400, info: "not JSON"},
		{line: "400 bad packet: more than one", request: postJSON("/NAME.send", `{"text":"t"}{}`), status: 400, info: "not JSON"},
		{line: "400 bad packet: nothing", request: postJSON("/NAME.send", ``), status: 400, info: "not JSON"},
		{line: "400 bad packet: no object", request: postJSON("/NAME.send", `["text"]`), status: 400, info: "expected a packet"},
		{line: "400 bad packet: no `cmd`", request: postJSON("/", `{"data":{}}`), status: 400, info: "cmd"},
		{line: "400 bad packet: no `cmd` in a form", request: postForm("/", `text=t`), status: 400, info: "cmd"},
		{line: "400 bad packet: a `cmd` that is no string", request: postJSON("/NAME.send", `{"cmd":5}`), status: 400, info: "cmd"},
		{line: "400 bad packet: an unknown `cmd`", request: postJSON("/", `{"cmd":"DANCE","auth":"SESSION"}`), status: 400, info: `unknown cmd "DANCE"`},
		{line: "400 bad packet: MESSAGE without data", request: postJSON("/", `{"cmd":"MESSAGE"}`), status: 400, info: "data: expected an object"},
		{line: "400 bad packet: data that is no object", request: messagePacket(`"x"`), status: 400, info: "data: expected an object"},
		{line: "400 bad packet: no sendType", request: messagePacket(`{"target":"NAME","message":{}}`), status: 400, info: "sendType"},
		{line: "400 bad packet: an unknown sendType", request: messagePacket(`{"sendType":"all","target":"NAME","message":{}}`), status: 400, info: "sendType"},
		{line: "400 bad packet: no target", request: messagePacket(`{"sendType":"personal","message":{}}`), status: 400, info: "data.target"},
		{line: "400 bad packet: no message", request: messagePacket(`{` + toNAME + `}`), status: 400, info: "data.message"},
		{line: "objects or arrays in place of a scalar are refused: target", request: messagePacket(`{"sendType":"personal","target":["NAME"],"message":{}}`), status: 400, info: "data.target"},
		{line: "objects or arrays in place of a scalar are refused: text", request: messagePacket(`{` + toNAME + `,"message":{"text":{}}}`), status: 400, info: "data.message.text"},
		{line: "objects or arrays in place of a scalar are refused: desp", request: messagePacket(`{` + toNAME + `,"message":{"desp":[]}}`), status: 400, info: "data.message.desp"},
		{line: "objects or arrays in place of a scalar are refused: flat text", request: postJSON("/NAME.send", `{"text":{"a":1}}`), status: 400, info: "text"},
		{line: "objects or arrays in place of a scalar are refused: auth", request: postJSON("/", `{"cmd":"MESSAGE","auth":{},"data":{`+toNAME+`,"message":{}}}`), status: 400, info: "auth"},
		{line: "objects or arrays in place of a scalar are refused: mid", request: postJSON("/", `{"cmd":"MESSAGE_CALLBACK","auth":"SESSION","data":{"mid":["1"]}}`), status: 400, info: "data.mid"},
		{line: "objects or arrays in place of a scalar are refused: name", request: postJSON("/", `{"cmd":"AUTH","data":{"name":{},"token":"TOKEN"}}`), status: 400, info: "data.name"},
		{line: "objects or arrays in place of a scalar are refused: token", request: postJSON("/", `{"cmd":"AUTH","data":{"name":"x","token":[]}}`), status: 400, info: "data.token"},
		{line: "objects or arrays in place of a scalar are refused: group", request: postJSON("/", `{"cmd":"AUTH","data":{"name":"x","group":{},"token":"TOKEN"}}`), status: 400, info: "data.group"},
		{line: "400 bad packet: AUTH without a name", request: postJSON("/", `{"cmd":"AUTH","data":{"token":"TOKEN"}}`), status: 400, info: "data.name"},
		{line: "400 bad packet: a mid that is no number", request: postJSON("/", `{"cmd":"MESSAGE_CALLBACK","auth":"SESSION","data":{"mid":"abc"}}`), status: 400, info: "data.mid"},
		{line: "400 bad packet: nested too deep", request: postJSON("/NAME.send", deep), status: 400, info: "nested deeper"},
		{line: "urlencoded: `data` is JSON text, or 400", request: postForm("/", "cmd=MESSAGE&data=x"), status: 400, info: "data"},
		{line: "urlencoded: 400 for JSON that says it is a form", request: postForm("/NAME.send", `{"text":"t"}`), status: 400, info: "application/json"},
		{line: "400: more parameters than anybody needs", request: get("/NAME.send?" + strings.Repeat("a=&", 2000)), status: 400, info: "parameters"},
		{line: "400: a text given twice", request: get("/NAME.send?text=a&text=b"), status: 400, info: `"text"`},

		{line: "Everything is valid UTF-8, else 400: path", request: get("/NAME%ff.send?text=t"), status: 400, info: "UTF-8"},
		{line: "Everything is valid UTF-8, else 400: path, not escaped", request: get("/NAME\xff.send?text=t"), status: 400, info: "UTF-8"},
		{line: "Everything is valid UTF-8, else 400: query", request: get("/NAME.send?text=%ff"), status: 400, info: "UTF-8"},
		{line: "Everything is valid UTF-8, else 400: name of a parameter", request: get("/NAME.send?%c3%28=t"), status: 400, info: "UTF-8"},
		{line: "Everything is valid UTF-8, else 400: form", request: postForm("/NAME.send", "text=\xff"), status: 400, info: "UTF-8"},
		{line: "Everything is valid UTF-8, else 400: JSON", request: postJSON("/NAME.send", "{\"text\":\"\xff\"}"), status: 400, info: "UTF-8"},
		{line: "400: broken escapes in the query", request: get("/NAME.send?text=%zz"), status: 400, info: "percent-encoding"},
		{line: "400: broken escapes in a form", request: postForm("/NAME.send", "text=%4"), status: 400, info: "percent-encoding"},
		{line: "Names: 1–256 bytes: none", request: get("/.send?text=t"), status: 400, info: "name"},
		{line: "`/.group` is 400", request: get("/.group?text=t"), status: 400, info: "name"},
		{line: "Names: 1–256 bytes: 257", request: get("/" + strings.Repeat("n", 257) + ".send"), status: 400, info: "256"},
		{line: "Names: 1–256 bytes: 257 in a packet", request: messagePacket(`{"sendType":"personal","target":"` + strings.Repeat("n", 257) + `","message":{}}`), status: 400, info: "256"},
		{line: "no control characters", request: get("/NAME%00.send?text=t"), status: 400, info: "control"},
		{line: "no control characters: DEL and C1", request: get("/NAME%7f%c2%85.send?text=t"), status: 400, info: "control"},

		{line: "401 `auth`: MESSAGE with a false one", request: postJSON("/", `{"cmd":"MESSAGE","auth":"x.y.z","data":{`+toNAME+`,"message":{}}}`), status: 401, info: "auth"},
		{line: "401 `auth`: MESSAGE with a forged one", request: postJSON("/", `{"cmd":"MESSAGE","auth":"SESSION0","data":{`+toNAME+`,"message":{}}}`), status: 401, info: "auth"},
		{line: "401 `auth`: MESSAGE_CALLBACK without", request: postJSON("/", `{"cmd":"MESSAGE_CALLBACK","data":{"mid":"1"}}`), status: 401, info: "auth"},
		{line: "401 `auth`: MESSAGE_CALLBACK with a false one", request: postJSON("/", `{"cmd":"MESSAGE_CALLBACK","auth":"x","data":{"mid":"1"}}`), status: 401, info: "auth"},
		{line: "401 `auth`: another channel's command without", request: postJSON("/", `{"cmd":"REGISTER_WEBPUSH","data":{}}`), status: 401, info: "Auth"},
		{line: "`REGISTER_WEBPUSH` that no channel claims", request: postJSON("/", `{"cmd":"REGISTER_WEBPUSH","auth":"SESSION","data":{"endpoint":"https://push.example/x"}}`), status: 400, info: `unknown cmd "REGISTER_WEBPUSH"`},
		{line: "`MESSAGE_WEBPUSH_CALLBACK` that no channel claims", request: postJSON("/", `{"cmd":"MESSAGE_WEBPUSH_CALLBACK","auth":"SESSION","data":{"mid":"1"}}`), status: 400, info: `unknown cmd "MESSAGE_WEBPUSH_CALLBACK"`},

		{line: "404 path: none", request: get("/"), status: 404, info: "path"},
		{line: "404 path: another ending", request: get("/NAME.sent?text=t"), status: 404, info: "path"},
		{line: "404 path: something after it", request: get("/NAME.send/?text=t"), status: 404, info: "path"},
		{line: "405 method: PUT", request: harness.Request{Method: "PUT", Target: "/NAME.send?text=t"}, status: 405, info: "GET or POST"},
		{line: "405 method: DELETE", request: harness.Request{Method: "DELETE", Target: "/NAME.send?text=t"}, status: 405, info: "GET or POST"},
		{line: "413 body: announced", request: postJSON("/NAME.send", `{"text":"`+strings.Repeat("x", 1<<20)+`"}`), status: 413, info: "1048576"},
		{line: "413 body: at once, before it is sent", request: postJSON("/NAME.send", "", "Content-Length: 10000000000"), status: 413, info: "1048576"},
		{line: "413 body: not announced", request: postJSON("/NAME.send", chunked(big), "Transfer-Encoding: chunked", token), status: 413, info: "4096", strict: true},
		{line: "415 content type: another", request: harness.Request{Target: "/NAME.send", Body: "t", Header: []string{"Content-Type: text/plain"}}, status: 415, info: "content-type"},
		{line: "415 content type: none", request: harness.Request{Target: "/NAME.send", Body: `{"text":"t"}`}, status: 415, info: "content-type"},
		{line: "415 content type: a form with files", request: harness.Request{Target: "/NAME.send", Body: "x", Header: []string{"Content-Type: multipart/form-data; boundary=b"}}, status: 415, info: "content-type"},

		{line: "`http.verifyToken: true`: every request needs the header: GET", request: get("/NAME.send?text=t"), status: 401, info: "Token invalid", strict: true},
		{line: "every request needs the header: a false one", request: get("/NAME.send?text=t", "Authorization: TOKEN0"), status: 401, info: "Token invalid", strict: true},
		{line: "every request needs the header: a false bearer", request: get("/NAME.send?text=t", "Authorization: Bearer x"), status: 401, info: "Token invalid", strict: true},
		{line: "every request needs the header: no token in a query", request: get("/NAME.send?text=t&token=TOKEN&authorization=TOKEN"), status: 401, info: "Token invalid", strict: true},
		{line: "every request needs the header: packet", request: messagePacket(`{` + toNAME + `,"message":{}}`), status: 401, info: "Token invalid", strict: true},
		{line: "every request needs the header: `auth` alone does not do", request: postJSON("/", `{"cmd":"MESSAGE","auth":"SESSION","data":{`+toNAME+`,"message":{}}}`), status: 401, info: "Token invalid", strict: true},
		{line: "every request needs the header: TEST_HTTP", request: postJSON("/", `{"cmd":"TEST_HTTP"}`), status: 401, info: "Token invalid", strict: true},
		{line: "every request needs the header: AUTH with the token in the packet", request: postJSON("/", `{"cmd":"AUTH","data":{"name":"x","token":"TOKEN"}}`), status: 401, info: "Token invalid", strict: true},
		{line: "every request needs the header: a bad packet", request: postJSON("/", `{`), status: 401, info: "Token invalid", strict: true},
		{line: "every request needs the header: a wrong path", request: get("/"), status: 401, info: "Token invalid", strict: true},
		{line: "every request needs the header: a wrong method", request: harness.Request{Method: "PUT", Target: "/"}, status: 401, info: "Token invalid", strict: true},
		{line: "with the header errors are told: 404", request: get("/", token), status: 404, info: "path", strict: true},
	}
}

// chunked is a body in one chunk, as Transfer-Encoding wants it.
func chunked(body string) string {
	return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
}

func (row refusal) run(t *testing.T, w wire) {
	relay := w.open
	if row.strict {
		relay = w.strict
	}
	name, group := w.name(), w.name()
	phone := relay.Dial(t)
	session := phone.Auth(t, relay.Token, name, group)
	reply := relay.Do(t, newFill(name, group, session, relay.Token).request(row.request))
	reply.ExpectInfo(t, row.status, row.info)
	// "An error never queues anything."
	nothingMore(t, relay, phone)
}
