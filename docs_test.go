package mpush_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestEveryPackageSaysWhatItOwns(t *testing.T) {
	for _, r := range rooms(t) {
		if r.Doc == "" {
			t.Errorf("%s has no package comment", r.ImportPath)
		}
	}
}

// module is what go.mod holds.
type module struct {
	Require []struct {
		Path     string
		Indirect bool
	}
	Tool []struct{ Path string }
}

func TestEveryDependencyHasItsReason(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json").Output()
	if err != nil {
		t.Fatalf("go mod edit: %v", err)
	}
	var m module
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatalf("go mod edit: %v", err)
	}
	var wanted []string
	for _, require := range m.Require {
		if !require.Indirect {
			wanted = append(wanted, require.Path)
		}
	}
	for _, tool := range m.Tool {
		wanted = append(wanted, tool.Path)
	}
	if len(wanted) == 0 {
		t.Fatal("go.mod requires nothing")
	}

	var given []string
	for line := range strings.SplitSeq(read(t, "docs/dependencies.md"), "\n") {
		if path, ok := strings.CutPrefix(line, "| `"); ok {
			path, _, _ = strings.Cut(path, "`")
			given = append(given, path)
		}
	}
	for _, path := range wanted {
		if !slices.Contains(given, path) {
			t.Errorf("docs/dependencies.md does not say why %s", path)
		}
	}
	for _, path := range given {
		if !slices.Contains(wanted, path) {
			t.Errorf("docs/dependencies.md names %s, which is no direct dependency", path)
		}
	}
}

func TestReadmesHaveTheSameCode(t *testing.T) {
	english, chinese := codeBlocks(read(t, "README.md")), codeBlocks(read(t, "README.zh-CN.md"))
	if len(english) == 0 {
		t.Fatal("README.md has no code")
	}
	for i := range max(len(english), len(chinese)) {
		switch {
		case i >= len(chinese):
			t.Errorf("README.zh-CN.md lacks the code block\n%s", english[i])
		case i >= len(english):
			t.Errorf("README.md lacks the code block\n%s", chinese[i])
		case english[i] != chinese[i]:
			t.Errorf("code block %d differs:\n%s\nin README.zh-CN.md:\n%s", i+1, english[i], chinese[i])
		}
	}
}

// codeBlocks returns what stands between fences, the fences' words included.
func codeBlocks(text string) []string {
	var blocks []string
	for i, part := range strings.Split(text, "\n```") {
		if i%2 == 1 {
			blocks = append(blocks, part)
		}
	}
	return blocks
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
