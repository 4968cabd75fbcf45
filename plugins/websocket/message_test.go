package websocket

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

func message(mid int64, receiver, text string) string {
	return fmt.Sprintf(`{"cmd":"MESSAGE","data":{"sendType":"personal","target":%q,"from":{"method":"http","name":""},"mid":"%d","message":{"text":%q,"desp":"","extra":{}}}}`, receiver, mid, text)
}

func TestDeliveryIsAckedByTheCallback(t *testing.T) {
	_, core := start(t, "", plugintest.Options{})
	c := attached(t, core, "phone")
	for _, form := range []string{`"%d"`, `%d`} {
		mid := core.Deliver("phone", &pluginpb.Message{Text: "a"})
		c.expect(message(mid, "phone", "a"))
		c.send(`{"cmd":"MESSAGE_CALLBACK","data":{"mid":` + fmt.Sprintf(form, mid) + `}}`)
		o := core.Outcome()
		if o.GetReceiver() != "phone" || o.GetMid() != mid || o.GetGeneration() != core.Generation("phone") || o.GetKind() != pluginpb.OutcomeKind_OUTCOME_KIND_ACKED {
			t.Errorf("outcome %v", o)
		}
	}
	c.silent() // an ack has no answer
}

func TestMessageReachesTheReceiverAsItWasSent(t *testing.T) {
	_, core := start(t, "", plugintest.Options{})
	c := attached(t, core, "phone")
	extra := `{"n":9007199254740993123,"nil":null,"o":{"a":[1.50,"你"]}}`
	core.Deliver("phone", &pluginpb.Message{
		Mid: 5, SendType: sdk.Group, Target: "home", FromMethod: "websocket", FromName: "pc",
		Text: "<a>\n\"", Desp: "\u2028\U0001F600", Extra: []byte(extra),
	})
	c.expect(`{"cmd":"MESSAGE","data":{"sendType":"group","target":"home","from":{"method":"websocket","name":"pc"},"mid":"5","message":{"text":"<a>\n\"","desp":"\u2028` + "\U0001F600" + `","extra":` + extra + `}}}`)
}

func TestLargeMessageIsDelivered(t *testing.T) {
	_, core := start(t, "", plugintest.Options{})
	c := attached(t, core, "phone")
	text := strings.Repeat("0123456789abcdef", 63<<10)
	mid := core.Deliver("phone", &pluginpb.Message{Text: text})
	c.expect(message(mid, "phone", text))
}

func TestOneInFlightAndResentUntilAcked(t *testing.T) {
	_, core := start(t, "", plugintest.Options{})
	c := attached(t, core, "phone")
	first := core.Deliver("phone", &pluginpb.Message{Text: "first"})
	second := core.Deliver("phone", &pluginpb.Message{Text: "second"})
	c.expect(message(first, "phone", "first"))
	c.silent()
	core.Resend("phone", first)
	c.expect(message(first, "phone", "first"))
	c.silent()
	c.send(fmt.Sprintf(`{"cmd":"MESSAGE_CALLBACK","data":{"mid":"%d"}}`, first))
	c.expect(message(second, "phone", "second"))
}

// Whether such a message was ever sent to the receiver is the core's to judge.
func TestLateCallbackReachesTheCore(t *testing.T) {
	_, core := start(t, "", plugintest.Options{})
	c := attached(t, core, "phone")
	c.send(`{"cmd":"MESSAGE_CALLBACK","data":{"mid":"12345"}}`)
	if o := core.Outcome(); o.GetMid() != 12345 || o.GetReceiver() != "phone" || o.GetKind() != pluginpb.OutcomeKind_OUTCOME_KIND_ACKED {
		t.Errorf("outcome %v", o)
	}
}

func TestGroupDeliveryReachesEachMember(t *testing.T) {
	_, core := start(t, "", plugintest.Options{})
	var clients []*client
	var names []string
	for i := range 20 {
		names = append(names, fmt.Sprintf("member%d", i))
		clients = append(clients, attached(t, core, names[i]))
	}
	mid := core.DeliverTo(names, &pluginpb.Message{SendType: sdk.Group, Target: "home", Text: "a"})
	want := strings.Replace(message(mid, "home", "a"), "personal", "group", 1)
	for _, c := range clients {
		c.expect(want)
	}
}

// Each row is sent on one socket, which stays open all the time.
func TestPacketsOfAnAuthenticatedClient(t *testing.T) {
	_, core := start(t, "", plugintest.Options{
		Publish: func(p *pluginpb.Publish) *pluginpb.PublishResult {
			if p.GetTarget() == "full" {
				return &pluginpb.PublishResult{Error: &pluginpb.Error{Code: sdk.CodeLimit, Message: "too many"}}
			}
			if p.GetSendType() == sdk.Group {
				return &pluginpb.PublishResult{}
			}
			return &pluginpb.PublishResult{Mid: 7, Statuses: []*pluginpb.ReceiverStatus{{Receiver: p.GetTarget(), Status: "ok"}}}
		},
		Command: func(c *pluginpb.ClientCommand) *pluginpb.CommandResult {
			switch c.GetCommand() {
			case "SAY":
				return &pluginpb.CommandResult{Info: "said " + string(c.GetData())}
			case "REGISTER_SOMETHING":
				return &pluginpb.CommandResult{}
			}
			return &pluginpb.CommandResult{Error: &pluginpb.Error{Code: sdk.CodeUnknownCommand, Message: "unknown command"}}
		},
	})
	c := attached(t, core, "phone")
	deep := strings.Repeat(`[`, 10_000) + strings.Repeat(`]`, 10_000)
	for _, test := range [][2]string{
		{`{"cmd":"PING"}`, `{"cmd":"PONG","data":""}`},
		{`{"cmd":"PING","data":"x","auth":"y"}`, `{"cmd":"PONG","data":""}`},
		{`{"cmd":"MESSAGE","data":{"sendType":"personal","target":"pc","message":{"text":"a"}}}`, `{"cmd":"MESSAGE_REPLY","data":{"mid":"7","status":{"pc":"ok"},"pc":"ok"}}`},
		{`{"cmd":"MESSAGE","data":{"sendType":"group","target":"none","message":{}}}`, `{"cmd":"MESSAGE_REPLY","data":{"status":{}}}`},
		{`{"cmd":"MESSAGE","data":{"sendType":"personal","target":"full","message":{}}}`, info("too many")},
		{`{"cmd":"MESSAGE","data":{"sendType":"group","target":"","message":{}}}`, info("data.target: expected a name, not nothing")},
		{`{"cmd":"MESSAGE","data":{"sendType":"some","target":"a","message":{}}}`, `{"cmd":"INFO","data":"data.sendType: expected \"personal\" or \"group\""}`},
		{`{"cmd":"MESSAGE","data":{"sendType":"personal","target":"a","message":{"text":[]}}}`, info("data.message.text: expected a string")},
		{`{"cmd":"MESSAGE"}`, info("data: expected an object")},
		{`{"cmd":"MESSAGE_CALLBACK","data":{}}`, info("data.mid: expected the decimal digits of a message's mid")},
		{`{"cmd":"MESSAGE_CALLBACK","data":{"mid":{}}}`, info("data.mid: expected a string")},
		{`{"cmd":"SAY","data":{"a":1}}`, `{"cmd":"INFO","data":"said {\"a\":1}"}`},
		{`{"cmd":"SAY"}`, info("said null")},
		{`{"cmd":"NOPE"}`, info("unknown command")},
		{`{"cmd":"MESSAGE_REPLY"}`, info("unknown command")},
		{`{"cmd":"ping"}`, info("unknown command")},
		{``, info("not JSON: it ends too early")},
		{`hello`, info("not JSON: unexpected 'h' at byte 1")},
		{`[]`, info("expected a packet: a JSON object")},
		{`{}`, info("cmd: expected a string")},
		{`{"cmd":5}`, info("cmd: expected the name of a command")},
		{`{"cmd":"PING","auth":[]}`, info("auth: expected a string")},
		{"{\"cmd\":\"PING\",\"data\":\"\xff\"}", info("not valid UTF-8")},
		{`{"cmd":"PING","data":` + deep + `}`, info("nested deeper than 64 levels")},
	} {
		c.send(test[0])
		c.expect(test[1])
	}
	c.send(`{"cmd":"REGISTER_SOMETHING","data":{"token":"x"}}`)
	c.silent()

	p := plugintest.Next[*pluginpb.PluginEnvelope_Publish](core).Publish
	if p.GetCredentials().GetAuth() != "auth//phone" || p.GetCredentials().GetToken() != "" || p.GetWaitMs() != 5000 || p.GetText() != "a" || p.GetTarget() != "pc" {
		t.Errorf("publish %v", p)
	}
}

func TestBinaryAndFragmentedFramesAreRead(t *testing.T) {
	_, core := start(t, "", plugintest.Options{})
	c := attached(t, core, "phone")
	if err := c.ws.WriteMessage(websocket.BinaryMessage, []byte(`{"cmd":"PING"}`)); err != nil {
		t.Fatal(err)
	}
	c.expect(`{"cmd":"PONG","data":""}`)
	raw := c.ws.NetConn()
	mask := "\x00\x00\x00\x00"
	for _, frame := range []string{"\x01\x85" + mask + `{"cmd`, "\x89\x80" + mask, "\x00\x83" + mask + `":"`, "\x80\x86" + mask + `PING"}`} {
		if _, err := raw.Write([]byte(frame)); err != nil {
			t.Fatal(err)
		}
	}
	c.expect(`{"cmd":"PONG","data":""}`)
}

func TestProtocolPingIsAnswered(t *testing.T) {
	_, core := start(t, "", plugintest.Options{})
	c := dial(t, core)
	var pong string
	c.ws.SetPongHandler(func(data string) error { pong = data; return nil })
	if err := c.ws.WriteControl(websocket.PingMessage, []byte("x"), time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	c.login("phone")
	if pong != "x" {
		t.Errorf("pong %q", pong)
	}
}

func TestFrameOverTheLimitIsClosedWith1009(t *testing.T) {
	_, core := start(t, `"maxFrame":2048`, plugintest.Options{})
	c := attached(t, core, "phone")
	// The server may close while this is still being written.
	_ = c.ws.WriteMessage(websocket.TextMessage, make([]byte, 1<<20))
	const reason = "websocket.maxFrame: the frame is larger than 2048 bytes"
	if got := c.expectClose(websocket.CloseMessageTooBig); got != reason {
		t.Errorf("told %q", got)
	}
	plugintest.Next[*pluginpb.PluginEnvelope_Detach](core)

	for _, length := range []string{"\x7f\xff\xff\xff\xff\xff\xff\xff", "\xff\xff\xff\xff\xff\xff\xff\xff"} {
		announced := attached(t, core, "phone")
		if _, err := announced.ws.NetConn().Write([]byte("\x81\xff" + length + "\x00\x00\x00\x00")); err != nil {
			t.Fatal(err)
		}
		if got := announced.expectClose(websocket.CloseMessageTooBig); got != reason {
			t.Errorf("told %q", got)
		}
	}
}

func TestGarbageFramesAreProtocolErrors(t *testing.T) {
	_, core := start(t, "", plugintest.Options{})
	phone := attached(t, core, "phone")
	for name, raw := range map[string]string{
		"unmasked":       "\x81\x02{}",
		"reserved bits":  "\xf1\x80\x00\x00\x00\x00",
		"bad opcode":     "\x83\x80\x00\x00\x00\x00",
		"continuation":   "\x80\x80\x00\x00\x00\x00",
		"long control":   "\x89\xfe\x00\x7e\x00\x00\x00\x00",
		"text as header": "GET / HTTP/1.1\r\n",
	} {
		c := dial(t, core)
		if _, err := c.ws.NetConn().Write([]byte(raw)); err != nil {
			t.Fatal(err)
		}
		c.expectClose(websocket.CloseProtocolError)
		t.Log(name)
	}
	phone.silent()
}

func TestTooMuchAtOnceIsRefused(t *testing.T) {
	answer := make(chan struct{})
	_, core := start(t, "", plugintest.Options{Publish: func(p *pluginpb.Publish) *pluginpb.PublishResult {
		<-answer
		return &pluginpb.PublishResult{}
	}})
	c := attached(t, core, "phone")
	for range maxConnAwaiting + 1 {
		c.send(`{"cmd":"MESSAGE","data":{"sendType":"group","target":"g","message":{}}}`)
	}
	c.expect(info("too much at once: at most 32 requests may await their answer"))
	c.silent() // the reader waits for none of them
	close(answer)
	for range maxConnAwaiting {
		c.expect(`{"cmd":"MESSAGE_REPLY","data":{"status":{}}}`)
	}
}

// Messages and commands alike, while none of them is answered.
func TestMessagesOfOneSocketKeepTheirOrder(t *testing.T) {
	_, core := start(t, "", plugintest.Options{
		Command: func(*pluginpb.ClientCommand) *pluginpb.CommandResult { return &pluginpb.CommandResult{Info: "done"} },
	})
	c := attached(t, core, "pc")
	for burst := range 20 {
		for i := range maxConnAwaiting {
			number := burst*maxConnAwaiting + i
			if i%4 == 3 {
				c.send(fmt.Sprintf(`{"cmd":"SAY","data":%d}`, number))
			} else {
				c.send(fmt.Sprintf(`{"cmd":"MESSAGE","data":{"sendType":"personal","target":"phone","message":{"text":"%d"}}}`, number))
			}
		}
		for i := range maxConnAwaiting {
			want := strconv.Itoa(burst*maxConnAwaiting + i)
			e := core.Await(func(e *pluginpb.PluginEnvelope) bool { return e.GetPublish() != nil || e.GetCommand() != nil })
			if got := e.GetPublish().GetText() + string(e.GetCommand().GetData()); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		for range maxConnAwaiting {
			c.receive()
		}
	}
}
