package webpush

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
	"mpush/test/fakepush"
)

// RFC 8291, section 4, names the number.
func TestTheLimitIsThatOfTheRFC(t *testing.T) {
	if room := maxRecord - overhead; room != 3993 {
		t.Errorf("room for %d bytes", room)
	}
}

func personal(m *sdk.Message) *sdk.Message {
	m.MID, m.SendType, m.Target, m.FromMethod = 1596543210123, sdk.Personal, "phone", "http"
	return m
}

const room = maxRecord - overhead

// envelope is how long the packet is beside text, desp and extra.
func envelope(t *testing.T) int {
	t.Helper()
	return len(personal(&sdk.Message{Extra: []byte("{}")}).Packet()) - len("{}")
}

func TestMessageThatFitsIsLeftAlone(t *testing.T) {
	spare := room - envelope(t) - len("{}")
	m := personal(&sdk.Message{Desp: strings.Repeat("x", spare), Extra: []byte("{}")})
	got, ok := fit(m, room)
	if !ok || len(got) != room || !bytes.Equal(got, m.Packet()) {
		t.Errorf("%d bytes, %v", len(got), ok)
	}
	over := personal(&sdk.Message{Desp: strings.Repeat("x", spare+1), Extra: []byte("{}")})
	got, ok = fit(over, room)
	if !ok || len(got) != room || parse(t, got).Data.Message.Extra["truncated"] != true {
		t.Errorf("%d bytes, %v: %s", len(got), ok, got)
	}
}

func TestDespIsCutBeforeExtraBeforeText(t *testing.T) {
	long := strings.Repeat("é", 5000)
	extra := []byte(`{"n":12345678901234567890, "s":{"a":[1, 2]}, "truncated":"mine"}`)
	big := []byte(`{"a":"` + strings.Repeat("x", 3900) + `"}`)
	for name, row := range map[string]struct {
		message   *sdk.Message
		text      string
		desp      string // a beginning of it
		whole     bool   // desp is whole
		wantExtra string
	}{
		"desp":                      {&sdk.Message{Text: "t", Desp: long, Extra: extra}, "t", "ééé", false, `{"n":12345678901234567890,"s":{"a":[1, 2]},"truncated":true}`},
		"extra, desp is given back": {&sdk.Message{Text: "t", Desp: "short", Extra: append([]byte(`{"b":"`+strings.Repeat("y", 100)+`",`), big[1:]...)}, "t", "short", true, `{"truncated":true}`},
		"extra and desp":            {&sdk.Message{Text: "t", Desp: long, Extra: big}, "t", "ééé", false, `{"truncated":true}`},
		"text":                      {&sdk.Message{Text: long, Desp: "d", Extra: extra}, "", "", true, `{"truncated":true}`},
	} {
		t.Run(name, func(t *testing.T) {
			m := personal(row.message)
			got, ok := fit(m, room)
			if !ok || len(got) > room || len(got) < room-2 && !row.whole {
				t.Fatalf("%d bytes, %v", len(got), ok)
			}
			read := parse(t, got).Data
			if read.Mid != "1596543210123" || read.Target != "phone" || read.SendType != "personal" || read.From.Method != "http" {
				t.Errorf("got %+v", read)
			}
			if row.text != "" && read.Message.Text != row.text || !strings.HasPrefix(m.Text, read.Message.Text) {
				t.Errorf("text %q", read.Message.Text)
			}
			if !strings.HasPrefix(read.Message.Desp, row.desp) || !strings.HasPrefix(m.Desp, read.Message.Desp) {
				t.Errorf("desp %q", read.Message.Desp)
			}
			if !bytes.HasSuffix(got, []byte(`,"extra":`+row.wantExtra+`}}}`)) {
				t.Errorf("packet ends %s", got[len(got)-200:])
			}
		})
	}
	// Text alone is too long: nothing is left of desp, and text fills the room.
	got, _ := fit(personal(&sdk.Message{Text: long, Desp: long, Extra: extra}), room)
	if m := parse(t, got).Data.Message; m.Desp != "" || len(m.Text) < 3700 || len(got) < room-1 {
		t.Errorf("%d bytes, text %d, desp %q", len(got), len(m.Text), m.Desp)
	}
}

func TestSomethingAlwaysFits(t *testing.T) {
	hostile := strings.Repeat(`"`, 256)
	m := &sdk.Message{
		MID: 1<<63 - 1, SendType: sdk.Group, Target: hostile, FromMethod: strings.Repeat("m", 64), FromName: strings.Repeat("\\", 256),
		Text: strings.Repeat("\u2028", 1<<16), Desp: strings.Repeat("\x00", 1<<16), Extra: []byte(`{"` + strings.Repeat("k", 1<<16) + `":1}`),
	}
	got, ok := fit(m, room)
	if !ok || len(got) > room {
		t.Fatalf("%d bytes, %v", len(got), ok)
	}
	if d := parse(t, got).Data; d.Target != hostile || d.SendType != "group" || d.Mid != strconv.FormatInt(1<<63-1, 10) || d.Message.Text == "" {
		t.Errorf("got %+v", d)
	}
	if _, ok := fit(m, 300); ok {
		t.Error("it fits where its names do not")
	}
	if _, ok := fit(m, -1); ok {
		t.Error("it fits in nothing")
	}
}

// Whatever the message and the room: a packet of the same form, in whole
// characters, in the room, and marked if anything is missing.
func TestCutPacketsAreWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	alphabet := []string{"a", `"`, `\`, "\n", "é", "漢", "\U0001F600", "\u2028", "\x01", "<"}
	text := func(n int) string {
		var b strings.Builder
		for range r.IntN(n + 1) {
			b.WriteString(alphabet[r.IntN(len(alphabet))])
		}
		return b.String()
	}
	for range 1000 {
		extra, err := json.Marshal(map[string]any{"a" + text(3): text(150), "b" + text(3): map[string]any{"truncated": r.IntN(9)}})
		if err != nil {
			t.Fatal(err)
		}
		m := personal(&sdk.Message{Text: text(150), Desp: text(300), Extra: extra})
		limit := 200 + r.IntN(800)
		got, ok := fit(m, limit)
		if !ok {
			t.Fatalf("nothing fits in %d", limit)
		}
		read := parse(t, got).Data
		whole := read.Message.Text == m.Text && read.Message.Desp == m.Desp && bytes.Equal(got, m.Packet())
		if len(got) > limit || !utf8.Valid(got) || read.Mid != "1596543210123" || !strings.HasPrefix(m.Text, read.Message.Text) ||
			!strings.HasPrefix(m.Desp, read.Message.Desp) || whole == (read.Message.Extra["truncated"] == true) {
			t.Fatalf("in %d: %d bytes\n%s\n%s", limit, len(got), m.Packet(), got)
		}
	}
}

func TestMarkingAnExtra(t *testing.T) {
	for given, want := range map[string]string{
		``:                               `{"truncated":true}`,
		`{}`:                             `{"truncated":true}`,
		` { "a" : 1.50 } `:               `{"a":1.50,"truncated":true}`,
		`{"a":{"truncated":false}}`:      `{"a":{"truncated":false},"truncated":true}`,
		`{"truncated":[1],"a":"\u00e9"}`: `{"a":"\u00e9","truncated":true}`,
		`[1]`:                            `{"truncated":true}`,
		`{"a":`:                          `{"truncated":true}`,
	} {
		if got := string(truncated([]byte(given))); got != want {
			t.Errorf("%s became %s", given, got)
		}
	}
}

func TestBodiesArePadded(t *testing.T) {
	for length, want := range map[int]int{
		0: 1024, 921: 1024, 922: 2048, 1945: 2048, 1946: 3072, 2969: 3072, 2970: 4096, 3993: 4096,
	} {
		if got := recordFor(make([]byte, length), maxRecord); got != want {
			t.Errorf("%d bytes in %d", length, got)
		}
	}
	if got := recordFor(make([]byte, 400), 768); got != 768 {
		t.Errorf("a limit of 768: %d", got)
	}
}

func TestLargestMessageGoesIn4096Bytes(t *testing.T) {
	c := start(t, "")
	c.subscribe("phone")
	mid := c.Deliver("phone", &pluginpb.Message{Text: "t", Desp: strings.Repeat("long ", 2000)})
	c.expect(mid, handedOff)
	got := c.service.Next()
	if m := parse(t, got.Payload).Data; got.BodyBytes != 4096 || len(got.Payload) != 3993 || m.Mid != strconv.FormatInt(mid, 10) ||
		m.Message.Text != "t" || m.Message.Extra["truncated"] != true || len(m.Message.Desp) < 3500 {
		t.Errorf("%d bytes: %s", got.BodyBytes, got.Payload)
	}
}

func TestPushServiceWithASmallerLimitGetsAShorterMessage(t *testing.T) {
	for _, limit := range []int{3070, 2048, 1500, 600} {
		c := startWith(t, fakepush.Options{MaxBody: limit}, "", plugintest.Options{})
		c.subscribe("phone")
		mid := c.Deliver("phone", &pluginpb.Message{Text: "title", Desp: strings.Repeat("漢", 4000)})
		c.expect(mid, handedOff)
		pushes := c.service.Seen()
		if len(pushes) > 8 {
			t.Errorf("%d: %d requests", limit, len(pushes))
		}
		for i := 1; i < len(pushes); i++ {
			if pushes[i].BodyBytes >= pushes[i-1].BodyBytes {
				t.Errorf("%d: %d bytes after %d", limit, pushes[i].BodyBytes, pushes[i-1].BodyBytes)
			}
		}
		last := pushes[len(pushes)-1]
		m := parse(t, last.Payload).Data.Message
		if last.BodyBytes > limit || m.Text != "title" || m.Extra["truncated"] != true || !strings.HasPrefix(m.Desp, "漢") {
			t.Errorf("%d: %d bytes, %s", limit, last.BodyBytes, last.Payload)
		}
		c.service.Close()
		c.Stop()
	}
}

func TestMessageThatNoCutMakesShortEnoughIsTriedLater(t *testing.T) {
	c := startWith(t, fakepush.Options{MaxBody: 100}, "", plugintest.Options{})
	c.subscribe("phone")
	got := c.expect(c.Deliver("phone", &pluginpb.Message{Desp: strings.Repeat("x", 5000)}), retry)
	if !strings.HasSuffix(got.GetError(), "status 413, however short the message is cut") {
		t.Errorf("error %q", got.GetError())
	}
	if pushes := c.service.Seen(); len(pushes) > 12 {
		t.Errorf("%d requests", len(pushes))
	}
}
