//go:build !race

package packet

import "testing"

// Acks and messages are most of what is parsed: one copy of the packet and one
// of its data. With the race detector it depends on chance, since that empties
// pools at random.
func TestParsingAllocatesLittle(t *testing.T) {
	callback := []byte(`{"cmd":"MESSAGE_CALLBACK","data":{"mid":"1596543210123"},"auth":"aaa.bbb.ccc"}`)
	if n := testing.AllocsPerRun(100, func() {
		p, err := Parse(callback)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseCallback(p.Data); err != nil {
			t.Fatal(err)
		}
	}); n > 2 {
		t.Errorf("a callback: %v allocations", n)
	}
	message := []byte(`{"cmd":"MESSAGE","data":{"sendType":"personal","target":"phone","message":{"text":"hello","desp":"world","extra":{"a":1}}}}`)
	if n := testing.AllocsPerRun(100, func() {
		p, err := Parse(message)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseSend(p.Data); err != nil {
			t.Fatal(err)
		}
	}); n > 2 {
		t.Errorf("a message: %v allocations", n)
	}
}
