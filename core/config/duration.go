package config

import (
	"strconv"
	"time"
)

// maxDuration is where a duration is surely a mistake, and far from overflow.
const maxDuration = 100 * 365 * 24 * time.Hour

// parseDuration reads "7d", "12h", "1d12h", "90s", "500ms": whole numbers, each
// with a unit. ok is false for anything else and for more than maxDuration.
func parseDuration(s string) (total time.Duration, ok bool) {
	for s != "" {
		digits := 0
		for digits < len(s) && s[digits] >= '0' && s[digits] <= '9' {
			digits++
		}
		letters := digits
		for letters < len(s) && s[letters] >= 'a' && s[letters] <= 'z' {
			letters++
		}
		number, err := strconv.ParseInt(s[:digits], 10, 64)
		unit := durationUnit(s[digits:letters])
		if err != nil || unit == 0 || number > int64(maxDuration/unit) {
			return 0, false
		}
		total += time.Duration(number) * unit
		if total > maxDuration {
			return 0, false
		}
		s, ok = s[letters:], true
	}
	return total, ok
}

func durationUnit(name string) time.Duration {
	switch name {
	case "ms":
		return time.Millisecond
	case "s":
		return time.Second
	case "m":
		return time.Minute
	case "h":
		return time.Hour
	case "d":
		return 24 * time.Hour
	case "w":
		return 7 * 24 * time.Hour
	default:
		return 0
	}
}
