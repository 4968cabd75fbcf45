package main

import "strings"

// validFilter tells whether a topic filter is one (MQTT 5, section 4.7). Those
// that begin with $ are the broker's own, such as $SYS, and shared ones.
func validFilter(filter string) bool {
	if filter == "" || strings.HasPrefix(filter, "$") || strings.Contains(filter, "\x00") {
		return false
	}
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		if strings.Contains(level, "#") && (level != "#" || i < len(levels)-1) || strings.Contains(level, "+") && level != "+" {
			return false
		}
	}
	return true
}

// overlap tells whether a topic can match both filters. A topic is a filter that
// matches itself alone.
func overlap(a, b string) bool { return meet(strings.Split(a, "/"), strings.Split(b, "/")) }

func meet(a, b []string) bool {
	switch {
	case len(a) > 0 && a[0] == "#" || len(b) > 0 && b[0] == "#": // also of no level more
		return true
	case len(a) == 0 || len(b) == 0:
		return len(a) == len(b)
	default:
		return (a[0] == b[0] || a[0] == "+" || b[0] == "+") && meet(a[1:], b[1:])
	}
}
