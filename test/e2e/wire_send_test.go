package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"testing"

	"mpush/test/harness"
)

// delivery is a request that brings a message to the row's receiver, which is in
// the row's group.
type delivery struct {
	line     string
	request  harness.Request
	receiver string // "" is NAME
	message  string // "" where only the way matters
}

// personal is the MESSAGE that NAME gets of an anonymous sender.
func personal(text, desp, extra string) string {
	return message("personal", "NAME", "", text, desp, extra)
}

func message(sendType, target, from, text, desp, extra string) string {
	return fmt.Sprintf(`{"cmd":"MESSAGE","data":{"sendType":%s,"target":%s,"from":{"method":"http","name":%s},"mid":"<mid>",
		"message":{"text":%s,"desp":%s,"extra":%s}}}`, quote(sendType), quote(target), quote(from), quote(text), quote(desp), extra)
}

func quote(s string) string {
	text, _ := json.Marshal(s) // strings have no error
	return string(text)
}

const (
	extras = `{"a":"233","b":{"hello":"wörld 世界 \u2028","list":[null,true,[]]},"z":null,"n":123456789012345678901234567890,"f":1.50,"e":-1e400}`
	packed = `{"sendType":"personal","target":"NAME","message":{"text":"t","desp":"d","extra":{"n":9007199254740993}}}`
)

func deliveries() []delivery {
	return []delivery{
		{line: "`GET /{name}.send?text=…&desp=…&…` personal", request: get("/NAME.send?text=hello&desp=world&a=1"), message: personal("hello", "world", `{"a":"1"}`)},
		{line: "`GET /{group}.group?…` group", request: get("/GROUP.group?text=hello"), message: message("group", "GROUP", "", "hello", "", `{}`)},
		{line: "The name is the last segment of the escaped path (so a prefix added by a reverse proxy is ignored", request: get("/push/other.send/NAME.send?text=t"), message: personal("t", "", `{}`)},
		{line: "then decoded", request: get("/NAME%20%e4%B8%ad%2e.send?text=t"), receiver: "NAME 中.", message: message("personal", "NAME 中.", "", "t", "", `{}`)},
		{line: "then decoded: what is not escaped is as it is", request: get("/NAME中+.send?text=t"), receiver: "NAME中+"},
		{line: "and a name may hold an escaped slash)", request: get("/NAME%2Fkitchen.send?text=t"), receiver: "NAME/kitchen"},
		{line: "up to the *last* `.send` / `.group`, so names may hold dots", request: get("/NAME.v1.2.send?text=t"), receiver: "NAME.v1.2"},
		{line: "up to the *last* `.send`", request: get("/NAME.send.send?text=t"), receiver: "NAME.send"},
		{line: "up to the last: `.group.send` is a receiver", request: get("/NAME.group.send?text=t"), receiver: "NAME.group"},
		{line: "Every other parameter goes to `extra` as a string", request: get("/NAME.send?text=t&n=5&flag=true&empty=&bare&sp=a+b%26&name=x"), message: personal("t", "", `{"n":"5","flag":"true","empty":"","bare":"","sp":"a b&","name":"x"}`)},
		{line: "a repeated one as an array of strings", request: get("/NAME.send?a=1&text=t&b=x&a=2&a="), message: personal("t", "", `{"a":["1","2",""],"b":"x"}`)},

		{line: "`POST /{name}.send` with a form", request: postForm("/NAME.send", "text=a+b&desp=%E4%B8%96&x=1&x=2&y=z"), message: personal("a b", "世", `{"x":["1","2"],"y":"z"}`)},
		{line: "`/{group}.group` with a form", request: postForm("/GROUP.group", "text=t"), message: message("group", "GROUP", "", "t", "", `{}`)},
		{line: "or a flat JSON object (`text`, `desp`, the rest to `extra` with its JSON type)", request: postJSON("/NAME.send", `{"text":"t","desp":"d","n":12345678901234567890,"o":{"a":[1,null]},"yes":true,"z":null}`),
			message: personal("t", "d", `{"n":12345678901234567890,"o":{"a":[1,null]},"yes":true,"z":null}`)},
		{line: "`/{group}.group` with a flat JSON object", request: postJSON("/GROUP.group", `{"text":"t"}`), message: message("group", "GROUP", "", "t", "", `{}`)},
		{line: "`POST /{name}.send` with nothing but a query", request: harness.Request{Method: "POST", Target: "/NAME.send?text=t"}, message: personal("t", "", `{}`)},
		{line: "`title` stands in for an absent `text`: query", request: get("/NAME.send?title=T&desp=d"), message: personal("T", "d", `{}`)},
		{line: "`title` stands in for an absent `text`: form", request: postForm("/NAME.send", "title=T"), message: personal("T", "", `{}`)},
		{line: "`title` stands in for an absent `text`: JSON", request: postJSON("/NAME.send", `{"title":"T","text":null}`), message: personal("T", "", `{}`)},
		{line: "`title` beside a `text` is an extra", request: get("/NAME.send?text=t&title=T"), message: personal("t", "", `{"title":"T"}`)},

		{line: "`POST` anywhere with `content-type` json and a `cmd`: one packet, MESSAGE", request: postJSON("/some/where", `{"cmd":"MESSAGE","data":`+packed+`}`), message: personal("t", "d", `{"n":9007199254740993}`)},
		{line: "`POST` anywhere: a path that names somebody else does not count", request: postJSON("/other.send", `{"cmd":"MESSAGE","data":`+packed+`}`), message: personal("t", "d", `{"n":9007199254740993}`)},
		{line: "`content-type` json with a charset", request: harness.Request{Target: "/", Body: `{"cmd":"MESSAGE","data":` + packed + `}`, Header: []string{"content-type: application/json;charset=UTF-8"}}, message: personal("t", "d", `{"n":9007199254740993}`)},
		{line: "or urlencoded and a `cmd` (urlencoded: `data` is JSON text)", request: postForm("/", "cmd=MESSAGE&data="+url.QueryEscape(packed)), message: personal("t", "d", `{"n":9007199254740993}`)},
		{line: "MESSAGE to a group", request: postJSON("/", `{"cmd":"MESSAGE","data":{"sendType":"group","target":"GROUP","message":{"text":"t"}}}`), message: message("group", "GROUP", "", "t", "", `{}`)},
		{line: "With a valid `auth`, `from.name` is its name", request: postJSON("/", `{"cmd":"MESSAGE","data":`+packed+`,"auth":"SESSION"}`), message: message("personal", "NAME", "NAME", "t", "d", `{"n":9007199254740993}`)},
		{line: "With a valid `auth`, urlencoded, `from.name` is its name", request: postForm("/", "cmd=MESSAGE&auth=SESSION&data="+url.QueryEscape(packed)), message: message("personal", "NAME", "NAME", "t", "d", `{"n":9007199254740993}`)},

		{line: "a scalar given for a text, desp is taken as its JSON text", request: postJSON("/", `{"cmd":"MESSAGE","data":{"sendType":"personal","target":"NAME","message":{"text":5,"desp":true}}}`), message: personal("5", "true", `{}`)},
		{line: "a scalar given for a text in a flat object is taken as its JSON text", request: postJSON("/NAME.send", `{"text":1.50,"desp":false}`), message: personal("1.50", "false", `{}`)},
		{line: "`null` as absent", request: postJSON("/", `{"cmd":"MESSAGE","data":{"sendType":"personal","target":"NAME","message":{"text":null,"desp":null,"extra":null}},"auth":null}`), message: personal("", "", `{}`)},
		{line: "an `extra` that is not an object as `{}`", request: postJSON("/", `{"cmd":"MESSAGE","data":{"sendType":"personal","target":"NAME","message":{"text":"t","extra":[1]}}}`), message: personal("t", "", `{}`)},
		{line: "`text`, `desp` are always strings (missing: `\"\"`). `extra` is always an object (missing: `{}`)", request: postJSON("/", `{"cmd":"MESSAGE","data":{"sendType":"personal","target":"NAME","message":{}}}`), message: personal("", "", `{}`)},
		{line: "nested objects, `null`, unicode and numbers beyond 2^53 unchanged", request: postJSON("/", `{"cmd":"MESSAGE","data":{"sendType":"personal","target":"NAME","message":{"extra":`+extras+`}}}`), message: personal("", "", extras)},
		{line: "unchanged: text with every kind of character", request: get("/NAME.send?text=%22%5C%0A%09%3C%26%F0%9F%98%80%7F"), message: personal("\"\\\n\t<&😀\u007f", "", `{}`)},
	}
}

func (row delivery) run(t *testing.T, w wire) {
	name, group := w.name(), w.name()
	plain := newFill(name, group, "", "")
	receiver := name
	if row.receiver != "" {
		receiver = plain.Replace(row.receiver)
	}
	phone := w.open.Dial(t)
	session := phone.Auth(t, w.open.Token, receiver, group)
	answer := w.open.Begin(t, newFill(name, group, session, "").request(row.request))
	var mid string
	if row.message == "" {
		mid = phone.NextMessage(t).MID
	} else {
		mid = phone.Expect(t, plain.Replace(row.message))["mid"]
	}
	phone.Ack(t, mid)
	if got := answer().ExpectStatuses(t, statuses{receiver: "ok"}); got != mid {
		t.Errorf("the reply is about %s, the message was %s", got, mid)
	}
}
