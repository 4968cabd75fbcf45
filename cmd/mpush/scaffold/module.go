package scaffold

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Checkout finds the module mpush: the directory itself or one above it.
func Checkout(dir string) (string, error) {
	start, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for at := start; ; at = filepath.Dir(at) {
		switch text, err := os.ReadFile(filepath.Join(at, "go.mod")); {
		case err == nil && isMpush(text):
			return at, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return "", err
		case at == filepath.Dir(at):
			return "", fmt.Errorf("there is no checkout of mpush at or above %s: name one with --sdk (a directory whose go.mod says \"module mpush\")", start)
		}
	}
}

func isMpush(mod []byte) bool {
	return regexp.MustCompile(`(?m)^module\s+"?mpush"?\s*(//.*)?$`).Match(mod)
}

// modules are go.mod and go.sum of a module that uses the sdk. They name the
// versions that the checkout has, so that no network is needed where that was built
// before, and "go mod tidy" finds little to do.
func modules(ctx context.Context, name, checkout string) (map[string][]byte, error) {
	sums, err := os.ReadFile(filepath.Join(checkout, "go.sum"))
	if err != nil {
		return nil, fmt.Errorf("the checkout: %w", err)
	}
	mod, err := os.ReadFile(filepath.Join(checkout, "go.mod"))
	if err != nil {
		return nil, fmt.Errorf("the checkout: %w", err)
	}
	version := regexp.MustCompile(`(?m)^go\s+(\S+)`).FindSubmatch(mod)
	if version == nil {
		return nil, fmt.Errorf("%s/go.mod names no version of Go", checkout)
	}
	list := exec.CommandContext(ctx, "go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}", "mpush/sdk", "mpush/sdk/plugintest")
	list.Dir = checkout
	list.Env = append(os.Environ(), "GOWORK=off")
	out, err := list.Output()
	if err != nil {
		if failed, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(failed.Stderr)))
		}
		return nil, fmt.Errorf("what does the sdk need? go list in %s: %w", checkout, err)
	}
	needed := strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' })
	slices.Sort(needed)
	var b strings.Builder
	fmt.Fprintf(&b, "module mpush-%s\n\ngo %s\n\nrequire mpush v0.0.0\n\nrequire (\n", name, version[1])
	for _, module := range slices.Compact(needed) {
		fmt.Fprintf(&b, "\t%s // indirect\n", module)
	}
	fmt.Fprintf(&b, ")\n\n// The module has no public home yet: this is the checkout that it is taken from.\nreplace mpush => %s\n", quoted(checkout))
	return map[string][]byte{"go.mod": []byte(b.String()), "go.sum": sums}, nil
}

// quoted is a path as go.mod takes it.
func quoted(path string) string {
	if strings.ContainsAny(path, " \t'\"`()[]{},;") || strings.Contains(path, "//") {
		return strconv.Quote(path)
	}
	return path
}
