package main

import (
	"fmt"
	"io"
	"os"
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

func (s *screen) show(lines []string) {
	var b strings.Builder
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
	_, _ = io.WriteString(s.out, b.String()) // as with fmt.Println
}
