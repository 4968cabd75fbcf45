package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// pages are the documents, relative to the repository. README.zh-CN.md has the
// code of README.md, which another test sees to.
func pages(t *testing.T) []string {
	t.Helper()
	found := []string{"README.md"}
	base := root(t)
	err := filepath.WalkDir(filepath.Join(base, "docs"), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".md" {
			name, _ := filepath.Rel(base, path)
			found = append(found, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil || len(found) < 10 {
		t.Fatalf("%d pages, %v", len(found), err)
	}
	return found
}

func text(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), page))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// unrun collects the blocks that carry a mark instead of being run.
type unrun struct {
	mu    sync.Mutex
	lines []string
}

func (u *unrun) add(page string, blocks []block) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, b := range blocks {
		first, _, _ := strings.Cut(b.text, "\n")
		u.lines = append(u.lines, fmt.Sprintf("%s:%d: %s: %s (%s)", page, b.line, strings.TrimSpace(b.mark+" "+b.lang), first, b.about))
	}
}

func TestPages(t *testing.T) {
	var left unrun
	t.Run("pages", func(t *testing.T) {
		for _, page := range pages(t) {
			t.Run(strings.ReplaceAll(page, "/", "-"), func(t *testing.T) {
				t.Parallel()
				content := text(t, page)
				if page == "README.md" {
					content = marked(t, content)
				}
				all, err := blocks(content)
				if err != nil {
					t.Fatalf("%s: %v", page, err)
				}
				tutorial := strings.Contains(content, "\n<!-- tutorial -->\n")
				if tutorial && !strings.Contains(text(t, "test/tutorial/tutorial_test.go"), page) {
					t.Errorf("%s: test/tutorial does not run it", page)
				}
				left.add(page, follow(t, page, all, tutorial))
			})
		}
	})
	slices.Sort(left.lines)
	t.Logf("%d blocks are not run:\n%s", len(left.lines), strings.Join(left.lines, "\n"))
}
