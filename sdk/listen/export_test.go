package listen

// CountLoopback makes a crowd of the connections of a test.
func (c *Crowd) CountLoopback() { c.loopback = true }
