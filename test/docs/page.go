package docs

import (
	"fmt"
	"regexp"
	"strings"
)

// block is a fenced block, or commands in a comment.
type block struct {
	line  int    // of its fence, or of its comment
	lang  string // the word behind the fence; "" if there is none
	text  string // with a line break at the end
	mark  string // the word of its mark; "" if there is none
	about string // what the mark says behind its colon
}

// hidden are commands that a reader does not see.
const hidden = "test"

var (
	fenceLine   = regexp.MustCompile("^( *)```([A-Za-z0-9]*)$")
	commentText = regexp.MustCompile(`(?s)^<!-- ([a-z ]+?)(?:: (.*?))? -->$`)
	fileName    = regexp.MustCompile("^File: `?([^`]+?)`?$")
	printsLine  = regexp.MustCompile(`\bprints:?$`)
)

// words are the marks that there are.
var words = map[string]bool{
	"not run": true, "later": true, "terminal": true, "file": true, "insert": true, "prints": true, "message": true,
	hidden: true, "tutorial": true,
}

// blocks finds the blocks of a page in Markdown.
func blocks(page string) ([]block, error) {
	var found []block
	var mark *block // waits for its fence
	var prose string
	lines := strings.Split(page, "\n")
	for i := 0; i < len(lines); i++ {
		start := i
		text := strings.TrimSpace(lines[i])
		if strings.HasPrefix(text, "<!-- ") {
			for !strings.HasSuffix(text, "-->") {
				if i++; i == len(lines) {
					return nil, fmt.Errorf("line %d: the comment has no end", start+1)
				}
				text += "\n" + lines[i]
			}
			m := commentText.FindStringSubmatch(text)
			switch {
			case m == nil || !words[m[1]]:
				return nil, fmt.Errorf("line %d: no such mark: %s", start+1, text)
			case (m[1] == "not run" || m[1] == "later" || m[1] == "file" || m[1] == "insert" || m[1] == hidden) && m[2] == "":
				return nil, fmt.Errorf("line %d: the mark %q says nothing behind a colon", start+1, m[1])
			case m[1] == hidden:
				found = append(found, block{line: start + 1, lang: "sh", mark: hidden, text: m[2] + "\n"})
			case m[1] != "tutorial":
				mark = &block{mark: m[1], about: m[2]}
			}
			continue
		}
		m := fenceLine.FindStringSubmatch(lines[i])
		if m == nil {
			if strings.HasPrefix(text, "```") {
				return nil, fmt.Errorf("line %d: no such fence", start+1)
			}
			if text != "" {
				if mark != nil {
					return nil, fmt.Errorf("line %d: a mark belongs to the fence behind it", start)
				}
				prose = text
			}
			continue
		}
		b := block{line: start + 1, lang: m[2]}
		for i++; i < len(lines) && lines[i] != m[1]+"```"; i++ {
			b.text += strings.TrimPrefix(lines[i], m[1]) + "\n"
		}
		if i == len(lines) {
			return nil, fmt.Errorf("line %d: the block has no end", start+1)
		}
		if name := fileName.FindStringSubmatch(prose); name != nil && mark == nil {
			mark = &block{mark: "file", about: name[1]}
		}
		if mark != nil {
			b.mark, b.about, mark = mark.mark, mark.about, nil
		} else if printsLine.MatchString(prose) {
			b.mark = "prints"
		}
		prose = ""
		found = append(found, b)
	}
	return found, nil
}

var mids = regexp.MustCompile(`\b1[0-9]{12}\b`)

// expression is that of a line that a page shows.
func expression(line string) string {
	text := mids.ReplaceAllString(regexp.QuoteMeta(line), "[0-9]{13}")
	// The columns of a table are as wide as what stands in them.
	text = regexp.MustCompile(` {2,}`).ReplaceAllString(text, " +")
	return strings.ReplaceAll(text, "…", ".*")
}
