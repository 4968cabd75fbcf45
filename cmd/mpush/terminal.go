package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"
)

// isTerminal tells whether a person looks at what is written there.
func isTerminal(w any) bool {
	file, ok := w.(*os.File)
	return ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(file.Fd()))
}

// paint colors what is printed; the zero value does not.
type paint struct{ green, red, yellow, grey, plain string }

// colors are for a terminal whose user has nothing against them (no-color.org).
func colors(out io.Writer) paint {
	if os.Getenv("NO_COLOR") != "" || !isTerminal(out) {
		return paint{}
	}
	return paint{green: "\x1b[32m", red: "\x1b[31m", yellow: "\x1b[33m", grey: "\x1b[90m", plain: "\x1b[0m"}
}

// in puts a text into a color.
func (p paint) in(color, text string) string { return color + text + p.plain }

// screen shows lines in the place of those that it has shown before, on a
// terminal.
type screen struct {
	out   io.Writer
	shown int
}

// The terminal cuts what is too long for it (DECAWM off): a line that it broke
// would be two.
const (
	cutLines   = "\x1b[?7l"
	breakLines = "\x1b[?7h"
)

func (s *screen) show(lines []string) {
	lines = fitting(lines, height(s.out))
	var b strings.Builder
	b.WriteString(cutLines)
	if s.shown > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", s.shown)
	}
	for _, line := range lines {
		b.WriteString("\r\x1b[2K" + line + "\n")
	}
	for range s.shown - len(lines) {
		b.WriteString("\x1b[2K\n")
	}
	if s.shown > len(lines) {
		fmt.Fprintf(&b, "\x1b[%dA", s.shown-len(lines))
	}
	s.shown = len(lines)
	b.WriteString(breakLines)
	_, _ = io.WriteString(s.out, b.String()) // as with fmt.Println
}

// height is how many lines a terminal has; 0 is unknown.
func height(out io.Writer) int {
	file, ok := out.(*os.File)
	if !ok {
		return 0
	}
	_, rows, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return rows
}

// fitting are the lines that there is room for above the cursor's, and how many
// more there are.
func fitting(lines []string, rows int) []string {
	if rows < 3 || len(lines) < rows {
		return lines
	}
	most := rows - 2
	return append(slices.Clone(lines[:most]), fmt.Sprintf("and %d more lines", len(lines)-most))
}
