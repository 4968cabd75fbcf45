package supervisor

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLinesAreCutAtTheLimitAndKeepTheirOrder(t *testing.T) {
	for _, chunk := range []int{1, 3, 7, 100} {
		var got []string
		w := &lineWriter{limit: 5, emit: func(line []byte, cut int) { got = append(got, fmt.Sprintf("%s+%d", line, cut)) }}
		input := "one\r\n\nexact\nlonger line\nend"
		for len(input) > 0 {
			n := min(chunk, len(input))
			if wrote, err := w.Write([]byte(input[:n])); wrote != n || err != nil {
				t.Fatal(wrote, err)
			}
			input = input[n:]
		}
		w.finish()
		w.finish()
		if want := "[one+0 +0 exact+0 longe+6 end+0]"; fmt.Sprint(got) != want {
			t.Errorf("by %d: %v, want %s", chunk, got, want)
		}
	}
}

func TestOutputIsLoggedAsRecordOrText(t *testing.T) {
	for _, tt := range []struct{ name, line, want string }{
		{"record", `{"time":"2020-01-01T00:00:00Z","level":"WARN","msg":"hello","n":12345678901234567890,"s":"x y","o":{"a":1},"t":true,"z":null}`,
			`WARN hello pid=7 n=12345678901234567890 o={"a":1} s=x y t=true z=null`},
		{"its level with an offset", `{"level":"INFO+1","msg":"m"}`, `INFO+1 m pid=7`},
		{"forged origin", `{"level":"DEBUG","msg":"m","channel":"other","pid":1}`, `DEBUG m pid=7`},
		{"go-plugin's trap", `{"@message":1}`, `INFO plugin output pid=7 stream=s text={"@message":1}`},
		{"no level", `{"msg":"m"}`, `INFO plugin output pid=7 stream=s text={"msg":"m"}`},
		{"level of another type", `{"level":1,"msg":"m"}`, `INFO plugin output pid=7 stream=s text={"level":1,"msg":"m"}`},
		{"message of another type", `{"level":"INFO","msg":{}}`, `INFO plugin output pid=7 stream=s text={"level":"INFO","msg":{}}`},
		{"broken", `{"level":`, `INFO plugin output pid=7 stream=s text={"level":`},
		{"text", `panic: no`, `INFO plugin output pid=7 stream=s text=panic: no`},
		{"no UTF-8", "a\xff\xfeb", "INFO plugin output pid=7 stream=s text=a\uFFFDb"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			log := newJournal()
			newOutput(slog.New(log).With("pid", 7), verbatim).line("s", []byte(tt.line), 0)
			if got := strings.TrimSpace(log.String()); got != tt.want {
				t.Errorf("logged %s\nwant   %s", got, tt.want)
			}
		})
	}
}

func TestCutLineSaysHowMuchIsMissing(t *testing.T) {
	log := newJournal()
	newOutput(slog.New(log), verbatim).line("stderr", []byte(`{"level":"ERROR","msg":"m"}`), 9)
	if line, _ := log.find("INFO plugin output", "cut_bytes=9"); line == "" {
		t.Errorf("logged %s", log)
	}
}

func TestFloodIsDroppedAndCountedAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newJournal()
		o := newOutput(slog.New(log), verbatim)
		line := []byte(strings.Repeat("x", 900)) // 1,000 with its cost
		const burst = outputBurst / 1000
		for range burst + 50 {
			o.line("stderr", line, 0)
		}
		if got := strings.Count(log.String(), "output is dropped"); got != 0 {
			t.Fatalf("the note is beyond the burst:\n%s", log) // String shows 100 lines
		}
		if line, _ := log.find("WARN plugin writes too much"); line == "" {
			t.Fatal("nothing says that output is dropped")
		}
		if line, _ := log.find("was dropped"); line != "" {
			t.Fatalf("counted too early: %s", line)
		}
		time.Sleep(time.Second)
		o.line("stderr", []byte("calm"), 0)
		if line, _ := log.find("WARN plugin output was dropped", "lines=50", "bytes=45000"); line == "" {
			t.Error("the loss is not counted")
		}
		if line, _ := log.find("text=calm"); line == "" {
			t.Error("the line after the flood is missing")
		}
	})
}

func TestLongFloodIsCountedNowAndThenAndAtItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newJournal()
		o := newOutput(slog.New(log), verbatim)
		line := []byte(strings.Repeat("x", maxLineBytes))
		for range 100 {
			for range 40 { // 320 KiB a second, a fifth of it allowed
				o.line("stderr", line, 0)
			}
			time.Sleep(time.Second)
		}
		o.finish()
		if line, _ := log.find("was dropped"); line == "" {
			t.Error("the loss is not counted")
		}
		if most := outputBurst + 101*outputRate + 20_000; log.size() > most {
			t.Errorf("%d bytes were logged, want at most %d", log.size(), most)
		}
	})
}

func verbatim(text string) string { return text }

func TestSecretIsHiddenBeforeTheLastLineIsCut(t *testing.T) {
	hide := func(text string) string { return strings.ReplaceAll(text, "correct-horse", "[redacted]") }
	o := newOutput(slog.New(newJournal()), hide)
	o.line("stderr", []byte(strings.Repeat("x", tailBytes-8)+"correct-horse"), 0)
	if tail := o.lastLine(); strings.Contains(tail, "correct") {
		t.Errorf("got …%s", tail[len(tail)-20:])
	}
}
