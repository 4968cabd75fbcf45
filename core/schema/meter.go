package schema

// meter counts the steps of a check. The library looks at one schema and one
// value after the other and can not be stopped from outside.
type meter struct{ left int }

// spent is what the meter panics with, through the library.
type spent struct{}

// cost is what looking at a value by one schema takes.
type cost struct {
	base  int  // by itself
	each  int  // for each member besides the one that it has
	deep  bool // all that is in the value is compared
	text  int  // the size of the expression that a text must match
	names int  // the sizes of those that the names of members are tried with
}

// step returns what the library calls when a schema meets a value.
func (m *meter) step(c cost) func(value any) error {
	return func(value any) error {
		m.left -= c.base
		switch value := value.(type) {
		case string:
			const a = 64 // bytes of a text go in a step
			m.left -= len(value)/a + matching(len(value), c.text)
		default:
			m.left -= length(value) * (1 + c.each)
		}
		if object, ok := value.(map[string]any); ok && c.names > 0 {
			for name := range object {
				m.left -= matching(len(name), c.names)
			}
		}
		if c.deep {
			m.left -= weight(value)
		}
		if m.left < 0 {
			panic(spent{})
		}
		return nil
	}
}

// matching is what trying a text of so many bytes with an expression takes.
func matching(length, size int) int {
	const a = 128 // states are looked at in a step
	return length * size / a
}

// weight counts the values within a value.
func weight(value any) int {
	n := 1
	switch value := value.(type) {
	case map[string]any:
		for _, member := range value {
			n += weight(member)
		}
	case []any:
		for _, element := range value {
			n += weight(element)
		}
	}
	return n
}

// run calls check with all the steps that there are, and tells whether they were
// enough.
func (m *meter) run(check func()) (enough bool) {
	defer func() {
		switch found := recover(); found.(type) {
		case nil:
		case spent:
			enough = false
		default:
			panic(found)
		}
	}()
	m.left = maxSteps
	check()
	return true
}
