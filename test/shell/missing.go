package shell

import (
	"regexp"
	"strings"
)

// Missing is the first line of want that got does not have behind the others; ""
// if it has them all. Others may stand between them. expression makes a regular
// expression of an expected line, which is without the blanks at its ends.
func Missing(got, want string, expression func(line string) string) string {
	lines := strings.Split(got, "\n")
	for expected := range strings.Lines(want) {
		expected = strings.TrimSpace(expected)
		if expected == "" {
			continue
		}
		pattern := regexp.MustCompile(`^\s*` + expression(expected) + `\s*$`)
		at := -1
		for i, line := range lines {
			if pattern.MatchString(line) {
				at = i
				break
			}
		}
		if at < 0 {
			return expected
		}
		lines = lines[at+1:]
	}
	return ""
}
