package e2e

import (
	"strings"
	"testing"

	"mpush/test/fakepush"
	"mpush/test/harness"
)

// "a receiver must not make the server call into its own network".
func TestEndpointsWithinTheServersNetworkAreRefused(t *testing.T) {
	t.Parallel()
	service := fakepush.New(t, fakepush.Options{})
	relay := harness.Start(t, with(pushRelay(service), short()))
	phone := relay.Dial(t)
	phone.Name = "phone"
	phone.Send(t, harness.AuthPacket(relay.Token, "phone", ""))
	good := service.Subscribe(phone.Expect(t, goodWithPush)["key"])
	other := fakepush.New(t, fakepush.Options{TLS: true}) // on loopback, at a port that is not allowed
	for _, endpoint := range []string{
		"https://127.0.0.1/push", "https://[::1]/push", "https://169.254.169.254/latest", "https://10.1.2.3/push",
		"https://192.168.0.1/push", "https://172.16.0.1/push", "https://100.64.0.1/push", "https://0.0.0.0/push",
		"https://[::ffff:127.0.0.1]/push", "https://[64:ff9b::7f00:1]/push", "https://[fe80::1]/push", "https://[fd00::1]/push",
		"https://2130706433/push", "https://0x7f.1/push", "https://0177.0.0.1/push", "https://127.1/push",
		"https://localhost/push", "https://LOCALHOST./push", "https://printer.local/push", "https://service.internal/push",
		other.Origin() + "/push", strings.Replace(service.Origin(), "http://", "https://", 1) + "/push",
		"http://push.example.com/push", "ftp://push.example.com/push", "//push.example.com/push", "push.example.com", "",
		"https://user:password@push.example.com/push", "https:///push", "https://push.example.com:0/push",
		"https://push.example.com/" + strings.Repeat("x", 3000),
	} {
		phone.Send(t, `{"cmd":"REGISTER_WEBPUSH","data":`+strings.Replace(good.JSON(), good.Endpoint(), endpoint, 1)+`}`)
		var info string
		if words := phone.Expect(t, `{"cmd":"INFO","data":"<info>"}`); words != nil {
			info = words["info"]
		}
		if !strings.Contains(info, "endpoint") {
			t.Errorf("%s: INFO %q", endpoint, info)
		}
	}
	for data, fault := range map[string]string{
		`{}`:                                     "endpoint",
		`{"endpoint":"` + good.Endpoint() + `"}`: "keys",
		strings.Replace(good.JSON(), good.P256dh(), "AAAA", 1):    "p256dh",
		strings.Replace(good.JSON(), good.Auth(), "AAAA", 1):      "auth",
		strings.Replace(good.JSON(), `"`+good.Auth()+`"`, "7", 1): "auth",
		`"x"`: "data", `[]`: "data", `null`: "data",
	} {
		phone.Send(t, `{"cmd":"REGISTER_WEBPUSH","data":`+data+`}`)
		phone.ExpectInfo(t, fault)
	}
	phone.Send(t, `{"cmd":"REGISTER_FCM","data":{"token":"a-phone's"}}`)
	phone.ExpectInfo(t, "FCM")
	phone.Send(t, `{"cmd":"MESSAGE_WEBPUSH_CALLBACK","data":{"mid":"x"}}`)
	phone.ExpectInfo(t, "mid")
	// Nothing was stored.
	relay.Get(t, "/phone.send?text=t").ExpectStatuses(t, statuses{"phone": "wait"})
	phone.Take(t, "t")
	nothingMore(t, relay, phone)
	if pushed := append(service.Seen(), other.Seen()...); len(pushed) > 0 {
		t.Errorf("pushed %s", pushed[0].Payload)
	}
}

// "`fcmServerKey` … absent when web push is off", and its commands are unknown.
func showWebpushMayBeSwitchedOff(t *testing.T, w wire) {
	relay := w.open
	phone := relay.Receiver(t, "plain") // expects the reply without keys
	phone.Send(t, `{"cmd":"REGISTER_WEBPUSH","data":{"endpoint":"https://push.example.com/x"}}`)
	phone.ExpectInfo(t, "unknown cmd", "REGISTER_WEBPUSH")
}
