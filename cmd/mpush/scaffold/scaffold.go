// Package scaffold makes the folder of a new channel in Go: it builds, passes its
// test and is to be changed. What the folder needs of the module mpush it takes
// from a checkout.
package scaffold

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
)

//go:embed templates
var templates embed.FS

// The kinds of channels.
const (
	Egress  = "egress"
	Ingress = "ingress"
	Both    = "both"
)

// Kinds lists them.
func Kinds() []string { return []string{Egress, Ingress, Both} }

// Options say what to make.
type Options struct {
	Name     string // of the channel, valid
	Kind     string // one of Kinds
	Dir      string // made if missing; nothing may be in it
	Checkout string // of the module mpush
}

// data is what the templates see.
type data struct {
	Name, Kind      string
	Egress, Ingress bool
	Program         string // JSON
}

// Make makes the folder. It runs the go command in the checkout to learn what the
// sdk needs, and changes nothing there.
func Make(ctx context.Context, o Options) error {
	if !slices.Contains(Kinds(), o.Kind) {
		return fmt.Errorf("there is no kind %q: expected %s", o.Kind, strings.Join(Kinds(), ", "))
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return err
	}
	switch entries, err := os.ReadDir(dir); {
	case err == nil && len(entries) > 0:
		return fmt.Errorf("%s is not empty: name another folder with --dir", dir)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	program, err := json.Marshal(filepath.Join(dir, o.Name))
	if err != nil {
		return err
	}
	files, err := modules(ctx, o.Name, o.Checkout)
	if err != nil {
		return err
	}
	d := data{Name: o.Name, Kind: o.Kind, Egress: o.Kind != Ingress, Ingress: o.Kind != Egress, Program: string(program)}
	for _, name := range []string{"main.go", "main_test.go", "config.jsonc", "README.md"} {
		if files[name], err = render(name, d); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func render(name string, d data) ([]byte, error) {
	parsed, err := template.ParseFS(templates, "templates/"+name+".tmpl")
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, d); err != nil {
		return nil, err
	}
	if filepath.Ext(name) == ".go" {
		return format.Source(out.Bytes())
	}
	return out.Bytes(), nil
}
