package main

import (
	_ "embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"text/template"

	"google.golang.org/protobuf/reflect/protoreflect"
)

//go:embed protocol.md.tmpl
var layout string

// document is the protocol reference: the layout with the comments of the file
// and of the handshake's constants.
func document(file protoreflect.FileDescriptor, constants string) (string, error) {
	values, err := parseConstants(constants)
	if err != nil {
		return "", err
	}
	d := &doc{file: file}
	page, err := template.New("protocol.md").Option("missingkey=error").Funcs(template.FuncMap{
		"constant": func(name string) (constant, error) {
			if c, ok := values[name]; ok {
				return c, nil
			}
			return constant{}, fmt.Errorf("there is no constant %s", name)
		},
		"head": d.head, "section": d.section, "calls": d.calls, "envelopes": d.envelopes, "messages": d.messages, "enums": d.enums,
	}).Parse(layout)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	if err := page.Execute(&out, nil); err != nil {
		return "", err
	}
	return out.String(), d.err
}

// constant is one of the handshake's, with its comment.
type constant struct{ Name, Value, Comment string }

// parseConstants reads source, so that the generator needs none of what it
// makes.
func parseConstants(source string) (map[string]constant, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "handshake.go", source, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	found := make(map[string]constant)
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
			if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
				found[spec.Names[0].Name] = constant{spec.Names[0].Name, strings.Trim(literal.Value, `"`), oneLine(spec.Doc.Text())}
			}
		}
		return true
	})
	return found, nil
}

// doc writes parts of the page. err is the first thing that has no comment.
type doc struct {
	file protoreflect.FileDescriptor
	err  error
}

// comment is what stands before an element, and after it on its line.
func (d *doc) comment(e protoreflect.Descriptor) string {
	at := d.file.SourceLocations().ByDescriptor(e)
	text := at.LeadingComments + "\n" + at.TrailingComments
	if strings.TrimSpace(text) == "" && d.err == nil {
		d.err = fmt.Errorf("%s has no comment", e.FullName())
	}
	return unindent(text)
}

// optional is comment for what may have none.
func (d *doc) optional(e protoreflect.Descriptor) string {
	at := d.file.SourceLocations().ByDescriptor(e)
	return unindent(at.LeadingComments + "\n" + at.TrailingComments)
}

// unindent takes off the blank that follows each "//".
func unindent(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimSuffix(strings.TrimPrefix(line, " "), "\n"))
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// cell is text in a table.
func cell(text string) string { return strings.ReplaceAll(oneLine(text), "|", `\|`) }

// paragraphs of the file's head; each begins with its heading and a colon, the
// first one but for those before any.
func (d *doc) paragraphs() []string {
	head := d.file.SourceLocations().ByPath(protoreflect.SourcePath{12}) // of "syntax"
	return strings.Split(unindent(head.LeadingComments), "\n\n")
}

func heading(paragraph string) string {
	word, _, found := strings.Cut(paragraph, ": ")
	if !found || strings.ContainsAny(word, " \n") {
		return ""
	}
	return word
}

// head is what stands before the first heading.
func (d *doc) head() string {
	var out []string
	for _, p := range d.paragraphs() {
		if heading(p) != "" {
			break
		}
		if strings.HasPrefix(p, "  ") {
			p = "<!-- not run: the order of calls -->\n```\n" + p + "\n```"
		}
		out = append(out, p)
	}
	return strings.Join(out, "\n\n")
}

// section is a paragraph of the head without its heading.
func (d *doc) section(name string) (string, error) {
	for _, p := range d.paragraphs() {
		if heading(p) == name {
			text := strings.TrimPrefix(p, name+": ")
			return strings.ToUpper(text[:1]) + text[1:], nil
		}
	}
	return "", fmt.Errorf("the head has no paragraph %q", name)
}

func (d *doc) calls() string {
	var out strings.Builder
	methods := d.file.Services().Get(0).Methods()
	for i := range methods.Len() {
		m := methods.Get(i)
		stream := func(is bool) string {
			if is {
				return "stream of "
			}
			return ""
		}
		fmt.Fprintf(&out, "### %s\n\n%s%s → %s%s\n\n%s\n\n", m.Name(),
			stream(m.IsStreamingClient()), link(m.Input()), stream(m.IsStreamingServer()), link(m.Output()), d.comment(m))
	}
	return strings.TrimSpace(out.String())
}

func link(e protoreflect.Descriptor) string {
	return fmt.Sprintf("[%s](#%s)", e.Name(), strings.ToLower(string(e.Name())))
}

// envelopes is the table of an envelope's bodies.
func (d *doc) envelopes(name string) string {
	var out strings.Builder
	out.WriteString("| # | body | message | what it is | answer |\n| ---: | --- | --- | --- | --- |\n")
	bodies := d.file.Messages().ByName(protoreflect.Name(name)).Oneofs().Get(0).Fields()
	for i := range bodies.Len() {
		f := bodies.Get(i)
		answer := ""
		switch text := oneLine(d.optional(f)); {
		case strings.HasPrefix(text, "→ "):
			message := d.file.Messages().ByName(protoreflect.Name(strings.TrimPrefix(text, "→ ")))
			if message == nil {
				d.err = fmt.Errorf("%s: the answer %q is no message", f.FullName(), text)
				return ""
			}
			answer = link(message)
		case text == "no answer":
			answer = "none"
		}
		fmt.Fprintf(&out, "| %d | `%s` | %s | %s | %s |\n", f.Number(), f.Name(), link(f.Message()), cell(sentence(d.comment(f.Message()))), answer)
	}
	return strings.TrimSpace(out.String())
}

// sentence is the first of text.
func sentence(text string) string {
	first, _, found := strings.Cut(oneLine(text), ". ")
	if found {
		first += "."
	}
	return first
}

// messages are those in the file's order but for the frames' envelopes.
func (d *doc) messages() string {
	var out strings.Builder
	all := d.file.Messages()
	for i := range all.Len() {
		m := all.Get(i)
		fmt.Fprintf(&out, "### %s\n\n%s\n\n", m.Name(), d.comment(m))
		if m.Fields().Len() == 0 {
			continue
		}
		out.WriteString("| # | field | type | meaning |\n| ---: | --- | --- | --- |\n")
		for f := range fields(m) {
			meaning := d.optional(f)
			if f.ContainingOneof() != nil {
				meaning = "body: " + sentence(d.comment(f.Message()))
			}
			fmt.Fprintf(&out, "| %d | `%s` | %s | %s |\n", f.Number(), f.Name(), kind(f), cell(meaning))
		}
		out.WriteString("\n")
	}
	return strings.TrimSpace(out.String())
}

// fields by number.
func fields(m protoreflect.MessageDescriptor) func(func(protoreflect.FieldDescriptor) bool) {
	var all []protoreflect.FieldDescriptor
	for i := range m.Fields().Len() {
		all = append(all, m.Fields().Get(i))
	}
	slices.SortFunc(all, func(a, b protoreflect.FieldDescriptor) int { return int(a.Number() - b.Number()) })
	return slices.Values(all)
}

func kind(f protoreflect.FieldDescriptor) string {
	switch {
	case f.IsMap():
		return fmt.Sprintf("map of %s to %s", f.MapKey().Kind(), f.MapValue().Kind())
	case f.IsList():
		return "list of " + single(f)
	}
	return single(f)
}

func single(f protoreflect.FieldDescriptor) string {
	switch {
	case f.Message() != nil:
		return link(f.Message())
	case f.Enum() != nil:
		return link(f.Enum())
	}
	return f.Kind().String()
}

func (d *doc) enums() string {
	var out strings.Builder
	all := d.file.Enums()
	for i := range all.Len() {
		e := all.Get(i)
		fmt.Fprintf(&out, "### %s\n\n%s\n\n| # | value | meaning |\n| ---: | --- | --- |\n", e.Name(), d.comment(e))
		for j := range e.Values().Len() {
			v := e.Values().Get(j)
			fmt.Fprintf(&out, "| %d | `%s` | %s |\n", v.Number(), v.Name(), cell(d.optional(v)))
		}
		out.WriteString("\n")
	}
	return strings.TrimSpace(out.String())
}
