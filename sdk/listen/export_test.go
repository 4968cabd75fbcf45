package listen

import "time"

// CountLoopback makes a crowd of the connections of a test.
func (c *Crowd) CountLoopback() { c.loopback = true }

// SetClock has a certificate ask now for the time.
func (c *Certificate) SetClock(now func() time.Time) { c.now = now }
