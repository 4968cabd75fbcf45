package scaffold

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// goCommand runs the go command in a folder, with no network.
func goCommand(t *testing.T, dir string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir, command.Env = dir, append(os.Environ(), "GOPROXY=off", "GOWORK=off", "GOFLAGS=")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func checkout(t *testing.T) string {
	t.Helper()
	dir, err := Checkout(".")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// What is made builds, is vetted and passes its test, without a network.
func TestEveryKindBuildsAndPassesItsTest(t *testing.T) {
	for _, kind := range Kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "a folder")
			err := Make(t.Context(), Options{Name: "sample-" + kind, Kind: kind, Dir: dir, Checkout: checkout(t)})
			if err != nil {
				t.Fatal(err)
			}
			if kind == Both { // it has all that the others have, and its test links that, too
				goCommand(t, dir, "build", "-o", "sample-"+kind, ".")
			}
			goCommand(t, dir, "vet", "./...")
			goCommand(t, dir, "test", "-vet=off", "-ldflags=-s -w", "./...")
			entry, err := os.ReadFile(filepath.Join(dir, "config.jsonc"))
			if err != nil || !strings.Contains(string(entry), `"path": "`+filepath.Join(dir, "sample-"+kind)+`"`) {
				t.Errorf("%v, the entry is %s", err, entry)
			}
			err = Make(t.Context(), Options{Name: "other", Kind: kind, Dir: dir, Checkout: checkout(t)})
			if err == nil || !strings.Contains(err.Error(), "is not empty: name another folder with --dir") {
				t.Errorf("once more into the same folder: %v", err)
			}
		})
	}
}

func TestCheckoutIsFoundFromWithinIt(t *testing.T) {
	root := t.TempDir()
	inside := filepath.Join(root, "a", "b")
	if err := os.MkdirAll(inside, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(dir, text string) {
		if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(root, "// the relay\nmodule mpush // here\n\ngo 1.26\n")
	write(filepath.Join(root, "a"), "module mpush/other\n")
	if got, err := Checkout(inside); err != nil || got != root {
		t.Errorf("%s, %v", got, err)
	}
	write(root, "module mpush-client\n")
	if got, err := Checkout(inside); err == nil || !strings.Contains(err.Error(), "--sdk") {
		t.Errorf("%s, %v", got, err)
	}
}

func TestWhatCanNotBeMadeLeavesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	for name, o := range map[string]Options{
		"kind":     {Name: "a", Kind: "sideways", Dir: dir, Checkout: checkout(t)},
		"checkout": {Name: "a", Kind: Both, Dir: dir, Checkout: t.TempDir()},
	} {
		if err := Make(t.Context(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: the folder is there", name)
		}
	}
}
