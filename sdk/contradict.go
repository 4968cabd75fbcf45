package sdk

import (
	"fmt"
	"strings"
)

// contradiction says which of p's interfaces exclude one another, nil if none
// do: the SDK would have to choose, and the author would wonder why a method is
// never called.
func contradiction(p Plugin) error {
	var ways []string
	if _, ok := p.(Egress); ok {
		ways = append(ways, "Egress (Deliver)")
	}
	if _, ok := p.(BatchEgress); ok {
		ways = append(ways, "BatchEgress (DeliverBatch)")
	}
	if _, ok := p.(Dispatcher); ok {
		ways = append(ways, "Dispatcher (Dispatch and Evict)")
	}
	if len(ways) < 2 {
		return nil
	}
	return fmt.Errorf("%T implements %s: messages go out one way, keep one of these", p, strings.Join(ways, " and "))
}
