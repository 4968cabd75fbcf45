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
	wave := func() {
		var crowd []*client
		for range strangers {
			crowd = append(crowd, dial(t, core))
		}
		p.hub.sweep(time.Now().Add(61 * time.Second))
		for _, c := range crowd {
			c.expectClose(websocket.ClosePolicyViolation)
			c.ws.Close()
		}
		for deadline := time.Now().Add(plugintest.Patience); ; runtime.Gosched() {
			p.hub.mu.RLock()
			left := len(p.hub.conns)
			p.hub.mu.RUnlock()
			if left == 1 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d sockets are left", left)
			}
		}
	}
	wave() // pools and the like are as large as they will be
	goroutines, memory := runtime.NumGoroutine(), heap()
	wave()
	if now := runtime.NumGoroutine(); now > goroutines+strangers/10 {
		t.Errorf("%d goroutines, %d before", now, goroutines)
	}
	if now := heap(); now > memory+strangers<<10 {
		t.Errorf("%d bytes in use, %d before", now, memory)
	}
	phone.silent()
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
