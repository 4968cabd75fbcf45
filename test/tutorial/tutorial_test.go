package tutorial

import (
	"os"
	"path/filepath"
	"testing"

	"mpush/test/shell"
)

// follow does what a page says.
func follow(t *testing.T, page string) {
	t.Helper()
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(checkout, page))
	if err != nil {
		t.Fatal(err)
	}
	todo, err := steps(string(text))
	if err != nil {
		t.Fatalf("%s: %v", page, err)
	}
	s := shell.Open(t, t.TempDir(), "MPUSH="+checkout)
	var printed string
	ran := 0
	for _, step := range todo {
		switch step.kind {
		case run:
			if printed, err = s.Run(step.text); err != nil {
				t.Fatalf("%s:%d: %v\n%s\nit printed\n%s", page, step.line, err, step.text, printed)
			}
			ran++
		case file:
			if err := s.Write(step.name, step.text); err != nil {
				t.Fatalf("%s:%d: %s: %v", page, step.line, step.name, err)
			}
		case prints:
			if line := shell.Missing(printed, step.text, expression); line != "" {
				t.Fatalf("%s:%d: %q was not printed, but\n%s", page, step.line, line, printed)
			}
		}
	}
	if ran < 3 {
		t.Errorf("%s has %d blocks of commands", page, ran)
	}
}

func TestGoTutorial(t *testing.T) {
	shell.Need(t, "go")
	follow(t, "docs/plugins/go.md")
}

func TestOtherLanguagesTutorial(t *testing.T) {
	shell.Need(t, "go", "/usr/bin/python3")
	follow(t, "docs/plugins/other-languages.md")
}

func TestStepsOfAPage(t *testing.T) {
	page := "# T\ntext\n```sh\necho a\n```\nIt prints:\n```\na\n```\n\nFile: `x/y.txt`\n\n```go\npackage x\n```\n```json\n{}\n```\n"
	got, err := steps(page)
	if err != nil || len(got) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	want := []step{{run, 3, "", "echo a\n"}, {prints, 7, "", "a\n"}, {file, 13, "x/y.txt", "package x\n"}}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("step %d is %+v, not %+v", i, got[i], want[i])
		}
	}
	if _, err := steps("```sh\n"); err == nil {
		t.Error("a block without an end is taken")
	}
}

func TestMissingLines(t *testing.T) {
	for _, row := range []struct{ got, want, missing string }{
		{"a\nb\nc", "a\nc\n", ""},
		{"a\nb", "b\na\n", "a"},
		{`{"mid":"123","x":1}`, `{"mid":"…","x":1}`, ""},
		{`{"mid":"123","x":2}`, `{"mid":"…","x":1}`, `{"mid":"…","x":1}`},
	} {
		if got := shell.Missing(row.got, row.want, expression); got != row.missing {
			t.Errorf("%q in %q: %q", row.want, row.got, got)
		}
	}
}
