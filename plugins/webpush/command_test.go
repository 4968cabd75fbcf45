package webpush

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

// registrations returns, without waiting, the routes that were registered.
func registrations(core *plugintest.Core) []*pluginpb.Register {
	var all []*pluginpb.Register
	for _, e := range core.Seen() {
		if r := e.GetRegister(); r != nil {
			all = append(all, r)
		}
	}
	return all
}

func TestBothRegistrationsOfTheWebClientAreOne(t *testing.T) {
	c := start(t, `"retryTimeout":7000`)
	phone := c.service.Subscribe(c.key)
	padded := strings.ReplaceAll(strings.ReplaceAll(phone.JSON(), phone.Auth(), phone.Auth()+"=="), `"expirationTime":null`, `"expirationTime":1.5e12,"more":[1]`)
	for _, row := range [][2]string{{cmdRegisterFCM, phone.JSON()}, {cmdRegister, phone.JSON()}, {cmdRegister, padded}} {
		if reply := c.Command(row[0], "phone", "home", row[1]); reply.GetError() != nil || reply.GetInfo() != "" {
			t.Errorf("%s: %v", row[0], reply)
		}
	}
	all := registrations(c.Core)
	if len(all) != 3 {
		t.Fatalf("%d registrations", len(all))
	}
	for _, r := range all {
		p := r.GetPolicy()
		if r.GetReceiver() != "phone" || r.GetGroup() != "home" || !bytes.Equal(r.GetAddress(), all[0].GetAddress()) {
			t.Errorf("registered %v", r)
		}
		if p.GetExclusive() || p.GetAcks() || p.GetResendMs() != 0 || p.GetRetryMs() != 7000 || p.GetRetryMaxMs() != uint32((5*time.Minute).Milliseconds()) {
			t.Errorf("policy %v", p)
		}
	}
	var kept struct {
		Endpoint string
		Keys     map[string]string
	}
	if err := json.Unmarshal(all[0].GetAddress(), &kept); err != nil || kept.Endpoint != phone.Endpoint() || kept.Keys["auth"] != phone.Auth() || kept.Keys["p256dh"] != phone.P256dh() {
		t.Errorf("kept %s", all[0].GetAddress())
	}
}

func TestPausesNeverShrink(t *testing.T) {
	c := start(t, `"retryTimeout":600000`)
	c.subscribe("phone")
	if p := registrations(c.Core)[0].GetPolicy(); p.GetRetryMs() != 600000 || p.GetRetryMaxMs() != 600000 {
		t.Errorf("policy %v", p)
	}
}

func TestBadRegistrationsAreExplainedAndStoreNothing(t *testing.T) {
	c := start(t, "")
	good := c.service.Subscribe(c.key)
	with := func(old, new string) string { return strings.Replace(good.JSON(), old, new, 1) }
	point := func(text string) string { return with(`"p256dh":"`+good.P256dh()+`"`, `"p256dh":`+text) }
	for data, want := range map[string]string{
		`null`:                                  "data: expected an object",
		`"x"`:                                   "data: expected an object",
		`[]`:                                    "data: expected an object",
		`{}`:                                    "data.endpoint: expected a string",
		`{"endpoint":null}`:                     "data.endpoint: expected a string",
		`{"endpoint":5}`:                        "data.endpoint: expected a string",
		`{"Endpoint":"https://a.example/x"}`:    "data.endpoint: expected a string",
		`{"endpoint":"https://a.example/x"}`:    "data.keys: expected an object",
		with(`"keys":{`, `"keys":5,"k":{`):      "data.keys: expected an object",
		with(`"auth"`, `"Auth"`):                "data.keys.auth: expected base64url",
		with(good.Auth(), ""):                   "data.keys.auth: expected base64url",
		with(good.Auth(), "!"):                  "data.keys.auth: expected base64url",
		with(good.Auth(), "AAAA"):               "data.keys.auth: expected 16 bytes",
		with(`"auth":"`, `"auth":5,"x":"`):      "data.keys.auth: expected a string",
		point(`{}`):                             "data.keys.p256dh: expected a string",
		point(`""`):                             "data.keys.p256dh: expected base64url",
		point(`"AAAA"`):                         "data.keys.p256dh: expected an uncompressed point",
		point(`"BA` + good.P256dh()[2:] + `A"`): "data.keys.p256dh: expected an uncompressed point",
		point(`"B` + strings.Repeat("A", 86) + `"`):                            "data.keys.p256dh: expected an uncompressed point",
		point(`"` + strings.Repeat("A", 200) + `"`):                            "data.keys.p256dh: expected base64url",
		with(good.Endpoint(), "https://127.0.0.1/x"):                           "data.endpoint: 127.0.0.1 is not a public address: loopback",
		with(good.Endpoint(), "https://169.254.169.254/latest"):                "data.endpoint: 169.254.169.254 is not a public address",
		with(good.Endpoint(), "http://push.example.com/x"):                     "data.endpoint: expected an https url",
		with(good.Endpoint(), "https://"+strings.Repeat("a.", 1024)+"example"): "data.endpoint: longer than",
	} {
		for _, name := range []string{cmdRegister, cmdRegisterFCM} {
			reply := c.Command(name, "phone", "", data)
			if reply.GetError().GetCode() != sdk.CodeInvalid || !strings.HasPrefix(reply.GetError().GetMessage(), want) {
				t.Errorf("%s %s: %v", name, data, reply)
			}
		}
	}
	if all := registrations(c.Core); len(all) != 0 {
		t.Errorf("stored %v", all)
	}
}

func TestNamesThatStandForPrivateHostsAreRefused(t *testing.T) {
	p := New().(*plugin)
	p.resolver = names{"inside.example.com": {"10.0.0.7"}}
	c := &channel{t: t, Core: plugintest.Start(t, p, plugintest.Options{})}
	c.service = newService(t)
	data := strings.Replace(c.service.Subscribe("").JSON(), c.service.Origin(), "https://inside.example.com", 1)
	reply := c.Command(cmdRegister, "phone", "", data)
	if got := reply.GetError().GetMessage(); got != `data.endpoint: "inside.example.com" has an address that is not public` {
		t.Errorf("got %v", reply)
	}
	if all := registrations(c.Core); len(all) != 0 {
		t.Errorf("stored %v", all)
	}
}

// silence is a resolver whose servers answer nothing until it is closed.
type silence chan struct{}

func (s silence) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	<-s
	return nil, errors.New("no answer")
}

// Each holds up the commands of others while it lasts.
func TestLookupsThatHangLeaveRoomForOtherCommands(t *testing.T) {
	p := New().(*plugin)
	unanswered := make(silence)
	giveUp := sync.OnceFunc(func() { close(unanswered) })
	p.resolver = unanswered
	core := plugintest.Start(t, p, plugintest.Options{})
	t.Cleanup(giveUp)
	service := newService(t)
	data := strings.Replace(service.Subscribe("").JSON(), service.Origin(), "https://push.example.com", 1)
	const all = 200 // more than are answered at once
	var commands []*pluginpb.CoreEnvelope
	for i := range all {
		commands = append(commands, &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Command{Command: &pluginpb.ClaimedCommand{
			Id: uint64(1000 + i), Command: cmdRegister, Data: []byte(data), Receiver: fmt.Sprint("phone", i),
		}}})
	}
	core.Send(commands...)
	answered := func(n int) {
		t.Helper()
		for range n {
			if reply := plugintest.Next[*pluginpb.PluginEnvelope_CommandReply](core).CommandReply; reply.GetError() != nil {
				t.Errorf("got %v", reply)
			}
		}
	}
	answered(all - maxLookups)
	if reply := core.Command(cmdConfirm, "tablet", "", `{"mid":"1"}`); reply.GetError() != nil {
		t.Errorf("another command: %v", reply)
	}
	giveUp()
	answered(maxLookups)
	if stored := registrations(core); len(stored) != all {
		t.Errorf("%d of %d are stored", len(stored), all)
	}
}

func TestNativeAppsAreToldThatThereIsNoFCM(t *testing.T) {
	c := start(t, "")
	for _, data := range []string{`{"token":"abc"}`, `{"token":"abc","endpoint":null}`, `{"token":5}`} {
		reply := c.Command(cmdRegisterFCM, "phone", "", data)
		if e := reply.GetError(); e.GetCode() != sdk.CodeInvalid || e.GetMessage() != "there is no FCM channel here" {
			t.Errorf("%s: %v", data, reply)
		}
	}
	for name, data := range map[string]string{cmdRegister: `{"token":"abc"}`, cmdRegisterFCM: `{"token":null}`} {
		if got := c.Command(name, "phone", "", data).GetError().GetMessage(); got != "data.endpoint: expected a string" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestConfirmationsAreOfTheHandOffAlone(t *testing.T) {
	c := start(t, "")
	for name, data := range map[string]string{cmdConfirm: `{"mid":"1596543210123"}`, cmdConfirmFCM: `{"mid":1596543210123}`} {
		if reply := c.Command(name, "phone", "", data); reply.GetError() != nil || reply.GetInfo() != "" {
			t.Errorf("%s: %v", name, reply)
		}
		got := plugintest.Next[*pluginpb.PluginEnvelope_Confirm](c.Core).Confirm
		if got.GetReceiver() != "phone" || got.GetMid() != 1596543210123 || !got.GetHandoffOnly() {
			t.Errorf("%s: %v", name, got)
		}
	}
	for _, data := range []string{`null`, `{}`, `{"mid":"x"}`, `{"mid":{}}`, `{"mid":-1}`} {
		if reply := c.Command(cmdConfirm, "phone", "", data); reply.GetError().GetCode() != sdk.CodeInvalid {
			t.Errorf("%s: %v", data, reply)
		}
	}
}

func TestTheCoresRefusalReachesTheClient(t *testing.T) {
	refuse := func(e *pluginpb.PluginEnvelope) *pluginpb.CoreEnvelope {
		if e.GetRegister() == nil && e.GetConfirm() == nil {
			return nil
		}
		return &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Done{Done: &pluginpb.Done{Error: &pluginpb.Error{Code: sdk.CodeLimit, Message: "too many"}}}}
	}
	core := plugintest.Start(t, New(), plugintest.Options{Answer: refuse, Config: `{"allowEndpoints":["http://127.0.0.1:1"]}`})
	service := newService(t)
	data := strings.Replace(service.Subscribe("").JSON(), service.Origin(), "http://127.0.0.1:1", 1)
	for name, data := range map[string]string{cmdRegister: data, cmdConfirm: `{"mid":"1"}`} {
		if e := core.Command(name, "phone", "", data).GetError(); e.GetCode() != sdk.CodeLimit || e.GetMessage() != "too many" {
			t.Errorf("%s: %v", name, e)
		}
	}
	if e := core.Command("OTHER", "phone", "", "{}").GetError(); e.GetCode() != sdk.CodeUnknownCommand {
		t.Errorf("another command: %v", e)
	}
}
