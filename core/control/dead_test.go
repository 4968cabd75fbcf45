package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"mpush/core/message"
	"mpush/core/record"
)

// graveyard answers Dead as a store does, from letters with the newest first.
func graveyard(letters []record.Queued) *office {
	return &office{dead: func(below message.MID, n int) (page []record.Queued) {
		for _, l := range letters {
			switch {
			case below != 0 && l.MID >= below:
				continue
			case len(page) >= n && page[len(page)-1].MID != l.MID:
				return page
			}
			page = append(page, l)
		}
		return page
	}}
}

func letters(mid message.MID, text string, n int) (letters []record.Queued) {
	m := &message.Message{MID: mid, SendType: message.Group, Target: "all", Text: text}
	for i := range n {
		letters = append(letters, record.Queued{Message: m, Item: record.Item{Receiver: fmt.Sprint("r", i), MID: mid, State: record.Dead, Reason: "expired"}})
	}
	return letters
}

// meter counts what is written and how large the heap becomes meanwhile. It keeps
// the end of it only.
type meter struct {
	header http.Header
	bytes  int
	texts  int // that contain receiver names
	most   uint64
	end    []byte
}

func (m *meter) Header() http.Header { return m.header }
func (m *meter) WriteHeader(int)     {}

func (m *meter) Write(p []byte) (int, error) {
	m.bytes += len(p)
	if len(p) < 64<<10 {
		m.texts += bytes.Count(p, []byte(`"receiver":"r`))
	}
	m.end = append(m.end[:0], p[max(0, len(p)-64):]...)
	if m.texts%100 == 0 {
		m.most = max(m.most, heap())
	}
	return len(p), nil
}

func heap() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func TestLettersOfOneLargeMessageAreNotHeldAtOnce(t *testing.T) {
	const receivers, size = 2000, 1 << 20
	all := append(letters(20, strings.Repeat("x", size), receivers), letters(10, "small", 3)...)
	handler := (&Server{Store: graveyard(all)}).Handler()
	runtime.GC()
	before := heap()
	m := &meter{header: make(http.Header)}
	handler.ServeHTTP(m, httptest.NewRequest("GET", "/v1/dead", nil))
	if m.bytes < receivers*size || m.texts != receivers || !strings.HasSuffix(strings.TrimSpace(string(m.end)), `],"below":"20"}`) {
		t.Errorf("%d bytes with %d letters, then %s", m.bytes, m.texts, m.end)
	}
	if most := int64(m.most) - int64(before); most > 64<<20 {
		t.Errorf("the heap grows by %d MiB", most>>20)
	}
	m = &meter{header: make(http.Header)}
	handler.ServeHTTP(m, httptest.NewRequest("GET", "/v1/dead?below=20", nil))
	if m.texts != 3 || !strings.HasSuffix(strings.TrimSpace(string(m.end)), `],"below":"0"}`) {
		t.Errorf("%d letters, then %s", m.texts, m.end)
	}
}

// A text may take six times its length in JSON: what is written counts.
func TestPageOfLettersEndsByItsBytesAndAllAreReached(t *testing.T) {
	var all []record.Queued
	for mid := message.MID(15); mid > 0; mid-- {
		all = append(all, letters(mid, strings.Repeat("\x01", 100<<10), 2)...)
	}
	o := graveyard(all)
	page := httptest.NewRecorder()
	(&Server{Store: o}).Handler().ServeHTTP(page, httptest.NewRequest("GET", "/v1/dead", nil))
	if n := page.Body.Len(); n < maxPage || n > maxPage+2<<20 || !json.Valid(page.Body.Bytes()) {
		t.Errorf("a page of %d bytes", n)
	}
	c := open(t, o, t.TempDir())
	var got []string
	for below := MID(0); ; {
		page, err := c.Dead(t.Context(), "", below, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range page.Letters {
			got = append(got, fmt.Sprintf("%d %s %d", l.Message.MID, l.Delivery.Receiver, len(l.Message.Text)))
		}
		if below = page.Below; below == 0 {
			break
		}
	}
	if len(got) != len(all) || got[0] != "15 r0 102400" || got[29] != "1 r1 102400" {
		t.Errorf("%d letters: %.100s", len(got), got)
	}
}
