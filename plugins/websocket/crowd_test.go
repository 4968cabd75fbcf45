package websocket

import (
	"runtime"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"mpush/sdk/plugintest"
)

// What a crowd of strangers takes is given back: their goroutines, their
// buffers, their places in the hub.
func TestCrowdOfStrangersLeavesNothing(t *testing.T) {
	p, core := start(t, `"authTimeout":60000`, plugintest.Options{})
	phone := attached(t, core, "phone")
	const strangers = 500
	await := func(sockets int) {
		t.Helper()
		for deadline := time.Now().Add(plugintest.Patience); ; runtime.Gosched() {
			p.hub.mu.RLock()
			now := len(p.hub.conns)
			p.hub.mu.RUnlock()
			if now == sockets {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d sockets, want %d", now, sockets)
			}
		}
	}
	wave := func() {
		var crowd []*websocket.Conn
		for range strangers {
			// Not by dial, which remembers them for the end of the test.
			ws, _, err := websocket.DefaultDialer.Dial("ws://"+core.Endpoints()[0], nil)
			if err != nil {
				t.Fatal(err)
			}
			defer ws.Close()
			crowd = append(crowd, ws)
		}
		await(strangers + 1)
		p.hub.sweep(time.Now().Add(61 * time.Second))
		for _, ws := range crowd {
			c := client{t, ws}
			ws.SetReadDeadline(time.Now().Add(plugintest.Patience))
			c.expectClose(websocket.ClosePolicyViolation)
			ws.Close()
		}
		await(1)
	}
	wave() // pools and the like are as large as they will be
	goroutines, memory := runtime.NumGoroutine(), heap()
	wave()
	if now := runtime.NumGoroutine(); now > goroutines+strangers/10 {
		t.Errorf("%d goroutines, %d before", now, goroutines)
	}
	if now := heap(); now > memory+strangers<<11 {
		t.Errorf("%d bytes in use, %d before", now, memory)
	}
	phone.silent()
}

// heap is what is reachable, in bytes.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
