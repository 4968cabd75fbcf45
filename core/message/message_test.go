package message

import (
	"strings"
	"testing"
)

func TestStatusWordsAndRanks(t *testing.T) {
	words := []string{"no", "ready", "wait", "push-wait", "push-ok", "push-ok-comfirm", "ok"}
	var last Status
	for rank, word := range words {
		s := Status{Rank: Rank(rank)}
		if s.Rank >= ChannelWait && s.Rank <= ChannelConfirmed {
			s.Channel = "push"
		}
		if s.String() != word {
			t.Errorf("rank %d is %q, want %q", rank, s, word)
		}
		if got := last.Max(s); got != s {
			t.Errorf("%v does not rise to %v", last, s)
		}
		if got := s.Max(last); got != s {
			t.Errorf("%v goes back to %v", s, got)
		}
		last = s
	}
	for word, s := range map[string]Status{"full": {Rank: Full}, "failed": {Rank: Failed}} {
		if s.String() != word || !s.Final() {
			t.Errorf("%q: %v, final %v", word, s, s.Final())
		}
	}
}

func TestFinalStatusStaysAndOfEqualRanksTheFirst(t *testing.T) {
	ok, failed := Status{Rank: OK}, Status{Rank: Failed}
	if ok.Max(failed) != ok || failed.Max(ok) != failed {
		t.Error("a final status changed")
	}
	first, second := Status{ChannelOK, "push"}, Status{ChannelOK, "mail"}
	if first.Max(second) != first {
		t.Error("of two equal ranks the second won")
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"phone": true, "a.b/c d": true, "名字": true, strings.Repeat("x", 256): true, "null": true,
		"": false, strings.Repeat("x", 257): false, "a\x00b": false, "a\nb": false, "\u0085": false, "\xff": false, "\x7f": false,
	} {
		if ValidName(name) != want {
			t.Errorf("%q: valid %v, want %v", name, !want, want)
		}
	}
}

func TestSizeCountsEveryPart(t *testing.T) {
	m := Message{Target: "1", FromMethod: "22", FromName: "333", Text: "4444", Desp: "55555", Extra: []byte("666666")}
	if m.Size() != 21 {
		t.Errorf("size %d", m.Size())
	}
}
