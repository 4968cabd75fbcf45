package main

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// plainOf is the text of a mail that has no plain one: without tags, a line for
// each block, no links.
func plainOf(marked string) string {
	var text strings.Builder
	tokens := html.NewTokenizer(strings.NewReader(marked))
	hidden := atom.Atom(0) // the element whose content nobody sees
	for {
		switch tokens.Next() {
		case html.ErrorToken: // the end
			return tidy(text.String())
		case html.TextToken:
			if hidden == 0 {
				text.WriteString(unbroken.Replace(string(tokens.Text())))
			}
		case html.StartTagToken, html.SelfClosingTagToken, html.EndTagToken:
			token := tokens.Token()
			switch token.DataAtom {
			case atom.Script, atom.Style, atom.Title:
				if token.Type == html.StartTagToken {
					hidden = token.DataAtom
				} else if hidden == token.DataAtom {
					hidden = 0
				}
			case atom.Br, atom.P, atom.Div, atom.Tr, atom.Li, atom.Table, atom.Ul, atom.Ol, atom.Hr,
				atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Blockquote, atom.Pre:
				text.WriteByte('\n')
			case atom.Td, atom.Th:
				text.WriteByte(' ')
			}
		}
	}
}

// unbroken joins lines: where they end says nothing in HTML.
var unbroken = strings.NewReplacer("\r", " ", "\n", " ")

// tidy leaves one space between words and at most one empty line.
func tidy(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.Join(strings.Fields(line), " ")
		if line != "" || len(lines) > 0 && lines[len(lines)-1] != "" {
			lines = append(lines, line)
		}
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}
