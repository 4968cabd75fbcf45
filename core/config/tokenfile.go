package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tailscale/hujson"
)

// TokenEntry is an entry of "tokens", as the file has it.
type TokenEntry struct {
	Name    string       `json:"name"`
	SHA256  string       `json:"sha256"`
	Rights  []string     `json:"rights"`
	Names   []string     `json:"names,omitempty"`
	Groups  []string     `json:"groups,omitempty"`
	Targets *TargetEntry `json:"targets,omitempty"`
	Expires string       `json:"expires,omitempty"`
}

// TargetEntry is whom a token may send to.
type TargetEntry struct {
	Names  []string `json:"names,omitempty"`
	Groups []string `json:"groups,omitempty"`
}

// String is the entry on one line, as JSON.
func (e *TokenEntry) String() string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(e) // texts alone
	text := strings.TrimSuffix(b.String(), "\n")
	value, err := hujson.Parse([]byte(text))
	if err != nil {
		return text
	}
	return spaced(&value)
}

// spaced writes an entry as a person would, with spaces after its commas.
func spaced(v *hujson.Value) string {
	var parts []string
	switch value := v.Value.(type) {
	case *hujson.Object:
		for i := range value.Members {
			parts = append(parts, value.Members[i].Name.String()+": "+spaced(&value.Members[i].Value))
		}
		return "{ " + strings.Join(parts, ", ") + " }"
	case *hujson.Array:
		for i := range value.Elements {
			parts = append(parts, spaced(&value.Elements[i]))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	default:
		return v.String()
	}
}

// Check tells what is wrong with an entry, as Load would of the file.
func (e *TokenEntry) Check() error {
	r := &report{source: newSource("the entry", []byte(e.String()))}
	value, _, problem := parse(r.source.text)
	if problem != "" {
		return fmt.Errorf("the entry: %s", problem)
	}
	r.readToken(newTree(value, "this token", func(string, place, place) {}), "")
	return r.err()
}

// ParseExpiry reads a moment, "2099-01-31T00:00:00Z", or how long it is until then,
// "90d". now is the present.
func ParseExpiry(text string, now time.Time) (time.Time, error) {
	if d, ok := parseDuration(text); ok {
		return now.Add(d).UTC().Truncate(time.Second), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf(`%q is no time: expected one like "90d" or "2099-01-31T00:00:00Z"`, text)
	}
	return t, nil
}

// AddToken writes an entry into the file, as the last of its tokens, and returns
// the file's path. Every other byte stays; the rest is as with Pin.
func AddToken(opts Options, entry *TokenEntry) (path string, err error) {
	return editTokens(opts, func(path string, f *tokenFile) ([]edit, error) {
		if f.index(entry.Name) >= 0 {
			return nil, fmt.Errorf("%s: there is a token %q already: revoke it first, or choose another name", path, entry.Name)
		}
		return f.add(entry.String()), nil
	})
}

// RemoveToken takes the entry of a token out of the file, as AddToken puts it in.
func RemoveToken(opts Options, name string) (path string, err error) {
	return editTokens(opts, func(path string, f *tokenFile) ([]edit, error) {
		i := f.index(name)
		if i < 0 {
			return nil, fmt.Errorf("%s: there is no token %q: %s", path, name, f.known())
		}
		return f.remove(i), nil
	})
}

func editTokens(opts Options, edits func(path string, f *tokenFile) ([]edit, error)) (path string, err error) {
	if path = opts.Path; path == "" {
		path = DefaultPath
	}
	file, err := readSource(path, opts.PathExplicit || path != DefaultPath, false, nil)
	if err != nil {
		return "", err
	}
	original, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("config file: %w", err)
	}
	r := &report{source: file}
	root := r.tree()
	if err := r.err(); err != nil {
		return "", err
	}
	if own := r.lay(root, r.variables(opts.Environ), references(root)); own["tokens"] != nil {
		r.fault(own["tokens"].at, "tokens", "is set here: unset it, so that the file counts")
	}
	if list := root.get("tokens"); list != nil && list.kind != '[' {
		r.fault(list.at, "tokens", "expected an array of objects, found %s", list.describe())
	}
	if err := r.err(); err != nil {
		return "", err
	}
	body := bytes.TrimPrefix(original, []byte("\ufeff"))
	f := &tokenFile{body: body}
	f.root, _, _ = parse(append(bytes.Clone(body), '\n'))
	changes, err := edits(path, f)
	if err != nil {
		return "", err
	}
	shift := len(original) - len(body)
	for i := range changes {
		changes[i].start += shift
		changes[i].end += shift
	}
	return path, replaceFile(path, original, apply(original, changes))
}

// tokenFile is a file, which is JSON, with its list of tokens.
type tokenFile struct {
	body []byte
	root hujson.Value
}

func (f *tokenFile) list() *hujson.Array {
	if field := fieldOf(&f.root, "tokens"); field != nil {
		list, _ := field.Value.Value.(*hujson.Array)
		return list
	}
	return nil
}

func (f *tokenFile) names() (names []string) {
	if list := f.list(); list != nil {
		for i := range list.Elements {
			name := ""
			if field := fieldOf(&list.Elements[i], "name"); field != nil {
				if literal, ok := field.Value.Value.(hujson.Literal); ok {
					name = literal.String()
				}
			}
			names = append(names, name)
		}
	}
	return names
}

func (f *tokenFile) index(name string) int { return slices.Index(f.names(), name) }

func (f *tokenFile) known() string {
	if names := f.names(); len(names) > 0 {
		return "the file has " + strings.Join(names, ", ")
	}
	return `the file has none under "tokens"`
}

func (f *tokenFile) add(entry string) []edit {
	list, whole := f.list(), "[\n    "+entry+"\n  ]"
	if list == nil {
		if null := fieldOf(&f.root, "tokens"); null != nil {
			return []edit{{null.Value.StartOffset, null.Value.EndOffset, whole}}
		}
		if single := fieldOf(&f.root, "token"); single != nil {
			end := single.Value.EndOffset
			return []edit{{end, end, ",\n  \"tokens\": " + whole}}
		}
		text, start := "\n  \"tokens\": "+whole, f.root.StartOffset+len("{")
		if len(f.root.Value.(*hujson.Object).Members) > 0 {
			text += ","
		} else {
			text += "\n"
		}
		return []edit{{start, start, text}}
	}
	// Behind all that is there, comments included, on a line of its own if the
	// bracket has one.
	end := fieldOf(&f.root, "tokens").Value.EndOffset - len("]")
	line := end - len(f.body[:end]) + len(bytes.TrimRight(f.body[:end], " \t"))
	own := line > 0 && f.body[line-1] == '\n'
	at, text := end, entry
	if n := len(list.Elements); n > 0 && !own {
		text = " " + text
	}
	if own {
		at, text = line, string(f.body[line:end])+"  "+text+"\n"
	}
	n := len(list.Elements)
	if n == 0 || list.Elements[n-1].AfterExtra != nil { // there is a comma, or need be none
		return []edit{{at, at, text}}
	}
	if last := list.Elements[n-1].EndOffset; last != at {
		return []edit{{last, last, ","}, {at, at, text}}
	}
	return []edit{{at, at, "," + text}}
}

func (f *tokenFile) remove(i int) []edit {
	list := f.list()
	element := &list.Elements[i]
	var edits []edit
	start, end := element.StartOffset, element.EndOffset
	switch comma := end + len(element.AfterExtra); {
	case f.body[comma] == ',' && comma == end:
		end++
	case f.body[comma] == ',':
		edits = append(edits, edit{comma, comma + 1, ""})
	case i > 0:
		before := &list.Elements[i-1]
		comma := before.EndOffset + len(before.AfterExtra)
		edits = append(edits, edit{comma, comma + 1, ""})
	}
	// With the rest of the line, if there is nothing else on it.
	left := len(bytes.TrimRight(f.body[:start], " \t"))
	right := len(f.body) - len(bytes.TrimLeft(f.body[end:], " \t\r"))
	if left > 0 && f.body[left-1] == '\n' && right < len(f.body) && f.body[right] == '\n' {
		start, end = left, right+1
	}
	return append(edits, edit{start, end, ""})
}
