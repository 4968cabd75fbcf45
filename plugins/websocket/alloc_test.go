//go:build !race

package websocket

import "testing"

// A budget: allocations do not depend on the machine. With the race detector
// they do depend on chance, since it empties pools at random.
func TestDeliveryAndCallbackAllocateLittle(t *testing.T) {
	if n := testing.AllocsPerRun(500, round(t)); n > 4 {
		t.Errorf("%v allocations", n)
	}
}
