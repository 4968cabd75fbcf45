package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxIncludedBytes is enough for any secret or certificate.
const maxIncludedBytes = 64 << 10

// expander replaces ${env:NAME} and ${file:PATH} in strings. Written with two
// dollars ($${env:NAME}) they stand for themselves, less one dollar.
type expander struct {
	report *report
	dir    string // that relative paths start from
	env    map[string]string
}

// newExpander takes the environment as "NAME=value" entries; the first of two
// with one name counts, as for the process itself.
func newExpander(r *report, dir string, environ []string) *expander {
	env := make(map[string]string, len(environ))
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if _, twice := env[name]; !twice {
			env[name] = value
		}
	}
	return &expander{r, dir, env}
}

// expand replaces in all strings of a value, in place. What came from the
// environment or the command line is left as it is: whoever wrote it there had
// a shell.
func (e *expander) expand(n *node, path string) {
	switch n.kind {
	case '{':
		for _, m := range n.members {
			e.expand(m.value, joinKey(path, m.name))
		}
	case '[':
		for i, element := range n.elements {
			e.expand(element, joinIndex(path, i))
		}
	case '"':
		if n.at.origin != "" {
			return
		}
		before := n.text()
		var from []string
		after, err := expandText(before, func(source, name string) (string, error) {
			from = append(from, "${"+source+":"+name+"}")
			return e.lookup(source, name)
		})
		if err != nil {
			e.report.fault(n.at, path, "%s", err)
		} else if after != before {
			n.literal, n.from = quote(after), from
		}
	}
}

// lookup returns what a reference stands for.
func (e *expander) lookup(source, name string) (string, error) {
	if source == "file" {
		return readIncluded(e.dir, name, e.report.inputs)
	}
	value, ok := e.env[name]
	switch {
	case !ok:
		return "", fmt.Errorf("the environment variable %s is not set", name)
	case !utf8.ValidString(value):
		return "", fmt.Errorf("the environment variable %s is not UTF-8 text", name)
	}
	return value, nil
}

// expandText replaces the references of one string by what lookup says of them.
func expandText(s string, lookup func(source, name string) (string, error)) (string, error) {
	var out strings.Builder
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			return out.String() + s, nil
		}
		source, rest, ok := strings.Cut(s[i+2:], ":")
		if !ok || source != "env" && source != "file" {
			out.WriteString(s[:i+2])
			s = s[i+2:]
			continue
		}
		if i > 0 && s[i-1] == '$' {
			out.WriteString(s[:i-1] + "${")
			s = s[i+2:]
			continue
		}
		name, rest, closed := strings.Cut(rest, "}")
		if !closed || name == "" {
			return "", fmt.Errorf("expected ${%s:NAME}: the name or the closing brace is missing", source)
		}
		if strings.ContainsFunc(name, unicode.IsControl) {
			return "", fmt.Errorf("expected ${%s:NAME}: the name has a control character", source)
		}
		value, err := lookup(source, name)
		if err != nil {
			return "", err
		}
		out.WriteString(s[:i] + value)
		s = rest
	}
}

// readIncluded returns a file's text without the line break at its end.
func readIncluded(dir, name string, in inputs) (string, error) {
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	// Not opened before it is known to be a file: opening a pipe would wait.
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		in.note(path, nil)
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	var content []byte
	if err == nil {
		content, err = readFile(path)
	}
	in.note(path, content)
	switch {
	case err != nil:
		return "", err
	case len(content) > maxIncludedBytes:
		return "", fmt.Errorf("%s is larger than %d KiB", path, maxIncludedBytes>>10)
	case !utf8.Valid(content):
		return "", fmt.Errorf("%s is not UTF-8 text", path)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r"), nil
}

// references are the names of the environment that a configuration makes use of
// by itself, for ${env:NAME} or to hand them to a plugin.
func references(root *node) map[string]bool {
	names := make(map[string]bool)
	var visit func(*node)
	visit = func(n *node) {
		for _, m := range n.members {
			visit(m.value)
		}
		for _, element := range n.elements {
			visit(element)
		}
		if n.kind == '"' {
			// A fault in it is reported when it is expanded.
			_, _ = expandText(n.text(), func(source, name string) (string, error) {
				names[name] = names[name] || source == "env"
				return "", nil
			})
		}
	}
	visit(root)
	if plugins := root.get("plugins"); plugins != nil {
		for _, entry := range plugins.members {
			if passed := entry.value.get("env"); passed != nil {
				for _, element := range passed.elements {
					names[element.text()] = true
				}
			}
		}
	}
	return names
}
