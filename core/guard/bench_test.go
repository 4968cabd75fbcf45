package guard

import (
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"
)

// crowd is a guard that knows many senders, and some of them.
func crowd() (g *Guard, remotes, names []string) {
	g = New(Limits{PublishRate: 100, PublishBurst: 1e6, AuthFailures: 10}, slog.New(slog.NewTextHandler(io.Discard, nil)), time.Now)
	for i := range 1000 {
		remotes = append(remotes, fmt.Sprintf("198.18.%d.%d", i>>8, i&255))
		names = append(names, fmt.Sprint("sender", i))
		g.Publish(remotes[i], names[i])
		if i%2 == 0 {
			g.Login(remotes[i], false)
		}
	}
	return g, remotes, names
}

func TestPublishTakesNoMemory(t *testing.T) {
	g := New(Limits{PublishRate: 1, PublishBurst: 1e6, AuthFailures: 10}, slog.New(slog.NewTextHandler(io.Discard, nil)), time.Now)
	for _, remote := range []string{"198.51.100.7", "2001:db8::1", "127.0.0.1", "::ffff:198.51.100.7"} {
		g.Login(remote, false)
		if n := testing.AllocsPerRun(1000, func() {
			if _, refused := g.Login(remote, true); refused != nil {
				t.Fatal(refused)
			}
			if refused := g.Publish(remote, "ann"); refused != nil {
				t.Fatal(refused)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", remote, n)
		}
	}
}

func BenchmarkPublish(b *testing.B) {
	g, remotes, names := crowd()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if refused := g.Publish(remotes[i%len(remotes)], names[i%len(names)]); refused != nil {
			b.Fatal(refused)
		}
	}
}

// What a sender with the token in its header costs.
func BenchmarkLoginAndPublish(b *testing.B) {
	g, remotes, _ := crowd()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		remote := remotes[i%len(remotes)]
		if _, refused := g.Login(remote, true); refused != nil {
			b.Fatal(refused)
		}
		if refused := g.Publish(remote, ""); refused != nil {
			b.Fatal(refused)
		}
	}
}

// A flood from more addresses than are remembered.
func BenchmarkStrangers(b *testing.B) {
	g, _, _ := crowd()
	remotes := make([]string, 1<<17)
	for i := range remotes {
		remotes[i] = fmt.Sprintf("2001:db8:%x:%x::1", i>>16, i&0xffff)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		g.Publish(remotes[i%len(remotes)], "")
	}
}
