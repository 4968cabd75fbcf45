package webpush

import (
	"context"
	"crypto/ecdh"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
	"mpush/test/fakepush"
)

// The receiver's pair in RFC 8291, appendix A: any pair will do.
const (
	oldPublic  = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
	oldPrivate = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
)

// keysFile writes a keys file and points the channel at it.
func keysFile(t *testing.T, text string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(OldKeysVariable, path)
}

func oldFile() string {
	return fmt.Sprintf(`{"publicKey":"%s","privateKey":"%s"}`, oldPublic, oldPrivate)
}

func TestKeysAreMadeOnceAndAnnounced(t *testing.T) {
	first := plugintest.Start(t, New(), plugintest.Options{})
	key := announcedKey(t, first)
	if point, err := base64.RawURLEncoding.DecodeString(key); err != nil || len(point) != 65 {
		t.Errorf("announced %q", key)
	}
	fields := first.Announced()
	for _, name := range []string{"webpushServerKey", "webpushPublicKey", "fcmServerKey"} {
		if string(fields[name]) != `"`+key+`"` {
			t.Errorf("%s is %s", name, fields[name])
		}
	}
	if len(fields) != 3 {
		t.Errorf("announced %q", fields)
	}
	state := make(map[string]string)
	for name, value := range first.State() {
		state[name] = string(value)
	}
	first.Stop()
	second := plugintest.Start(t, New(), plugintest.Options{State: state})
	if again := announcedKey(t, second); again != key {
		t.Errorf("after a restart %q, before %q", again, key)
	}
	if other := announcedKey(t, plugintest.Start(t, New(), plugintest.Options{})); other == key {
		t.Error("two servers have the same keys")
	}
}

// The core keeps the route; its address and the state are all that it takes.
func TestSubscriptionsSurviveARestart(t *testing.T) {
	c := start(t, "")
	phone := c.subscribe("phone")
	address := plugintest.Next[*pluginpb.PluginEnvelope_Register](c.Core).Register.GetAddress()
	state := map[string]string{stateKey: string(c.State()[stateKey])}
	c.Stop()
	core := plugintest.Start(t, New(), plugintest.Options{Config: fmt.Sprintf(`{"allowEndpoints":[%q]}`, c.service.Origin()), State: state})
	core.Send(&pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Deliver{Deliver: &pluginpb.Deliver{
		Message: &pluginpb.Message{Mid: 7, SendType: sdk.Personal, Target: "phone", FromMethod: "http", Text: "still there"},
		Routes:  []*pluginpb.DeliverRoute{{Receiver: "phone", Generation: 9, Address: address, IntervalMs: 5000}},
	}}})
	if got := core.Outcome(); got.GetKind() != handedOff {
		t.Errorf("outcome %v", got)
	}
	if got := c.service.Next(); got.Subscription != phone || parse(t, got.Payload).Data.Message.Text != "still there" {
		t.Errorf("got %+v", got)
	}
}

func TestKeysOfAnOldServerAreImported(t *testing.T) {
	standard := strings.NewReplacer("-", "+", "_", "/")
	for name, text := range map[string]string{
		"as written": oldFile(),
		"padded":     fmt.Sprintf(`{"publicKey":"%s=","privateKey":"%s="}`, oldPublic, oldPrivate),
		"standard":   fmt.Sprintf(`{"publicKey":"%s=","privateKey":"%s="}`, standard.Replace(oldPublic), standard.Replace(oldPrivate)),
		"by hand":    "\ufeff" + strings.ReplaceAll(oldFile(), ",", ",\r\n ") + "\r\n",
		"more in it": strings.Replace(oldFile(), "{", `{"subject":"mailto:a@b",`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			keysFile(t, text)
			core := plugintest.Start(t, New(), plugintest.Options{})
			if key := announcedKey(t, core); key != oldPublic {
				t.Errorf("announced %q", key)
			}
			var kept pair
			if err := json.Unmarshal(core.State()[stateKey], &kept); err != nil || kept != (pair{oldPublic, oldPrivate}) {
				t.Errorf("kept another pair: %v", err)
			}
		})
	}
}

func TestImportedKeysSignPushes(t *testing.T) {
	keysFile(t, oldFile())
	c := startWith(t, fakepush.Options{}, "", plugintest.Options{})
	c.subscribe("phone") // takes pushes of the announced key alone
	c.expect(c.Deliver("phone", &pluginpb.Message{}), handedOff)
}

func TestPrivateKeysWithoutLeadingZerosAreTaken(t *testing.T) {
	short := []byte{1, 2, 3}
	key, err := ecdh.P256().NewPrivateKey(append(make([]byte, 29), short...))
	if err != nil {
		t.Fatal(err)
	}
	whole := pairOf(key)
	text := fmt.Sprintf(`{"publicKey":"%s","privateKey":"%s"}`, whole.Public, base64.RawURLEncoding.EncodeToString(short))
	if got, err := parsePair([]byte(text)); err != nil || got != whole {
		t.Errorf("got %v", err)
	}
}

func TestKeptKeysComeBeforeAFile(t *testing.T) {
	first := plugintest.Start(t, New(), plugintest.Options{})
	kept := map[string]string{stateKey: string(first.State()[stateKey])}
	for name, row := range map[string]struct {
		file, log string
		remarks   int
	}{
		"others":   {oldFile(), "holds other keys", 0},
		"the same": {kept[stateKey], "", 0},
		"broken":   {`{`, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			keysFile(t, row.file)
			logged := captureLogs(t)
			if core := plugintest.Start(t, New(), plugintest.Options{State: kept}); announcedKey(t, core) != announcedKey(t, first) {
				t.Error("other keys are announced")
			}
			warned := strings.Contains(logged.String(), "level=WARN")
			if warned != (row.log != "") || !strings.Contains(logged.String(), row.log) {
				t.Errorf("log: %s", logged)
			}
			if _, found := configure(t, ""); len(found) != row.remarks {
				t.Errorf("remarks %q", found)
			}
		})
	}
}

// stateHost is a core that keeps state and nothing else.
type stateHost struct {
	sdk.Host
	state map[string][]byte
	fault error
}

func (h *stateHost) Channel() string { return "webpush" }

func (h *stateHost) State(context.Context, string) (map[string][]byte, error) {
	return h.state, h.fault
}

func (h *stateHost) SetState(context.Context, string, []byte) error {
	return errors.New("nothing may be written")
}

func TestUnusableKeysKeepTheChannelDown(t *testing.T) {
	for text, want := range map[string]string{
		``:                `expected {"publicKey"`,
		`[]`:              `expected {"publicKey"`,
		`{"publicKey":1}`: `expected {"publicKey"`,
		`{}`:              "privateKey: expected 32 bytes",
		`{"publicKey":"` + oldPublic + `","privateKey":"!"}`:                       "privateKey: expected 32 bytes",
		`{"publicKey":"` + oldPublic + `","privateKey":"` + oldPublic + `"}`:       "privateKey: expected 32 bytes",
		`{"publicKey":"` + oldPublic + `","privateKey":"AAAA"}`:                    "privateKey: not a key",
		`{"publicKey":"","privateKey":"` + oldPrivate + `"}`:                       "publicKey: expected base64url",
		`{"publicKey":"` + oldPublic[:86] + `","privateKey":"` + oldPrivate + `"}`: "publicKey does not belong",
		`{"publicKey":"` + oldPublic + `","privateKey":"A` + oldPrivate[1:] + `"}`: "publicKey does not belong",
	} {
		keysFile(t, text)
		p, found := configure(t, "")
		if len(found) != 1 || !strings.Contains(found[0], "it will not start") || !strings.Contains(found[0], want) {
			t.Errorf("%s: remarks %q", text, found)
		}
		_, err := p.Declare(t.Context(), &stateHost{})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), os.Getenv(OldKeysVariable)) {
			t.Errorf("%s: %v", text, err)
		}
		if err != nil && strings.Contains(err.Error(), oldPrivate[1:]) {
			t.Errorf("the error tells the key: %v", err)
		}
		if _, err := New().(*plugin).Declare(t.Context(), &stateHost{state: map[string][]byte{stateKey: []byte(text)}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s, kept: %v", text, err)
		}
	}
	t.Setenv(OldKeysVariable, filepath.Join(t.TempDir(), "keys"))
	p, _ := configure(t, "")
	if _, err := p.Declare(t.Context(), &stateHost{}); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a missing file: %v", err)
	}
	t.Setenv(OldKeysVariable, "")
	p, _ = configure(t, "")
	if _, err := p.Declare(t.Context(), &stateHost{fault: errors.New("disk")}); err == nil || !strings.Contains(err.Error(), "disk") {
		t.Errorf("unreadable state: %v", err)
	}
	if _, err := p.Declare(t.Context(), &stateHost{}); err == nil || !strings.Contains(err.Error(), "nothing may be written") {
		t.Errorf("state that cannot be written: %v", err)
	}
}
