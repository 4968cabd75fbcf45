// Package tutorial runs the tutorials of docs as their readers do: word for
// word, from an empty folder, in one shell. In a page
//
//   - a block of ```sh is run;
//   - a block behind a line "File: NAME" is written to that file, relative to
//     where the shell is;
//   - a block behind a line that ends with "prints:" is what the sh block before
//     it must have printed, line by line in this order, perhaps with others
//     between them; … stands for anything.
//
// $MPUSH is the checkout. The shell is that of mpush/test/shell.
package tutorial

import (
	"fmt"
	"regexp"
	"strings"
)

// kind is what becomes of a block.
type kind int

const (
	run    kind = iota // by the shell
	file               // written
	prints             // expected of the last run
)

// step is one block of a page that is acted upon.
type step struct {
	kind kind
	line int    // in the page, of the block's fence
	name string // of a file
	text string // with a line break at the end
}

var (
	fence     = regexp.MustCompile("^```([a-z]*)$")
	fileLine  = regexp.MustCompile("^File: `?([^`]+?)`?$")
	printLine = regexp.MustCompile(`prints:$`)
)

// steps finds the blocks of a page in Markdown.
func steps(page string) ([]step, error) {
	var found []step
	var before string // the last line of text before a fence
	var open *step
	inside, ignored := false, false
	for i, line := range strings.Split(page, "\n") {
		match := fence.FindStringSubmatch(line)
		switch {
		case match == nil && inside:
			if !ignored {
				open.text += line + "\n"
			}
		case match == nil:
			if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, "<!--") {
				before = line
			}
		case inside:
			inside = false
			if !ignored {
				found = append(found, *open)
			}
			before = ""
		default:
			inside, ignored = true, false
			open = &step{line: i + 1}
			name := fileLine.FindStringSubmatch(before)
			switch {
			case name != nil:
				open.kind, open.name = file, name[1]
			case match[1] == "sh":
				open.kind = run
			case printLine.MatchString(before):
				open.kind = prints
			default:
				ignored = true
			}
		}
	}
	if inside {
		return nil, fmt.Errorf("line %d: the block has no end", open.line)
	}
	return found, nil
}

// expression is that of a line that the page shows.
func expression(line string) string { return strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*") }
