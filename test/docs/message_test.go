package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// verb is where a format has a value.
var verb = regexp.MustCompile(`%[-+# 0-9.]*[a-zA-Z]`)

// phrases are the texts in the program's source, one per line, with … for values.
var phrases = sync.OnceValues(func() (string, error) {
	var all strings.Builder
	for _, room := range []string{"cmd", "core", "sdk", "plugins", "examples/receiver"} {
		err := filepath.WalkDir(filepath.Join("../..", room), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					if text, err := strconv.Unquote(literal.Value); err == nil {
						all.WriteString(verb.ReplaceAllString(text, "…") + "\n")
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			return "", err
		}
	}
	// What the system and the compiler's library say.
	all.WriteString("bind: address already in use\nconnection refused\n")
	return all.String(), nil
})

// said demands of each line that its texts between … are in the source.
func said(t *testing.T, page string, b block) {
	t.Helper()
	known, err := phrases()
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSpace(b.text), "\n") {
		letters := 0
		for part := range strings.SplitSeq(line, "…") {
			if part = strings.TrimSpace(part); part != "" && !strings.Contains(known, part) {
				t.Errorf("%s:%d: nothing in the source says %q", page, b.line+1+i, part)
			}
			letters = max(letters, len(part))
		}
		if letters < 8 {
			t.Errorf("%s:%d: nothing of it can be looked for: %s", page, b.line+1+i, line)
		}
	}
}

func TestMessagesAreLookedFor(t *testing.T) {
	if _, err := os.Stat("../../core"); err != nil {
		t.Fatal(err)
	}
	known, err := phrases()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(known, "data directory … is in use by another mpush") {
		t.Error("a message of the lock is not found")
	}
	if strings.Contains(known, "nobody has ever said this") {
		t.Error("everything is found")
	}
}
