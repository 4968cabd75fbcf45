package mpush_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// authorsPackages are what the author of a channel reads.
func authorsPackages() []string {
	return []string{"sdk", "sdk/packet", "sdk/listen", "sdk/dial", "sdk/plugintest"}
}

func TestEverythingThatAuthorsSeeIsDocumented(t *testing.T) {
	for _, dir := range authorsPackages() {
		files := token.NewFileSet()
		var parsed []*ast.File
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			name := entry.Name()
			if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(files, filepath.Join(dir, name), nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			parsed = append(parsed, file)
		}
		p, err := doc.NewFromFiles(files, parsed, "mpush/"+dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range undocumented(p) {
			t.Errorf("%s: %s has no comment", dir, name)
		}
	}
}

// undocumented lists the exported names without a comment. A field or a value may
// have it on its line, and one for a group of values is one for each.
func undocumented(p *doc.Package) (bare []string) {
	need := func(comment, name string) {
		if strings.TrimSpace(comment) == "" {
			bare = append(bare, name)
		}
	}
	if p.Doc == "" {
		bare = append(bare, "the package")
	}
	values := func(all []*doc.Value) {
		for _, v := range all {
			for _, spec := range v.Decl.Specs {
				s := spec.(*ast.ValueSpec)
				for _, name := range s.Names {
					if name.IsExported() {
						need(v.Doc+s.Doc.Text()+s.Comment.Text(), name.Name)
					}
				}
			}
		}
	}
	funcs := func(all []*doc.Func, of string) {
		for _, f := range all {
			if f.Level == 0 && !standard(f.Name) {
				need(f.Doc, of+f.Name)
			}
		}
	}
	values(p.Consts)
	values(p.Vars)
	funcs(p.Funcs, "")
	for _, typ := range p.Types {
		need(typ.Doc, typ.Name)
		values(typ.Consts)
		values(typ.Vars)
		funcs(typ.Funcs, "")
		funcs(typ.Methods, typ.Name+".")
		for _, spec := range typ.Decl.Specs {
			for _, f := range members(spec.(*ast.TypeSpec).Type) {
				for _, name := range f.Names {
					if name.IsExported() {
						need(f.Doc.Text()+f.Comment.Text(), typ.Name+"."+name.Name)
					}
				}
			}
		}
	}
	return bare
}

// standard are methods whose meaning is that of a well-known interface.
func standard(method string) bool {
	switch method {
	case "Error", "Unwrap", "String":
		return true
	}
	return false
}

func members(typ ast.Expr) []*ast.Field {
	switch t := typ.(type) {
	case *ast.StructType:
		return t.Fields.List
	case *ast.InterfaceType:
		return t.Methods.List
	}
	return nil
}

func TestWhatIsUndocumentedIsFound(t *testing.T) {
	const source = `package p
// T is.
type T struct {
	// A is.
	A int
	B int // B is
	C, D int
	e int
}
type U interface { M() }
func F() {}
func (T) G() {}
func (T) Error() string { return "" }
const X = 1
// Y and Z are.
const ( Y = 1; Z = 2 )
`
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "p.go", source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	p, err := doc.NewFromFiles(files, []*ast.File{file}, "p")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(undocumented(p), " "); got != "the package X F T.G T.C T.D U U.M" {
		t.Errorf("found %s", got)
	}
}
