package config

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/tailscale/hujson"
)

// node is a value of the configuration with the place that it comes from. The
// parser's own tree knows no other place than the file; this one takes values
// from the environment as well, and needs no care about comments.
type node struct {
	kind     hujson.Kind // 'n' 'f' 't' '"' '0' '{' '['
	literal  []byte      // JSON text of a scalar, as it was written
	members  []member    // of an object, in the order of the file
	elements []*node     // of an array
	at       place
	from     []string // of a string: the references that it was expanded from
}

type member struct {
	name  string
	value *node
}

// newTree converts a parsed value. With an origin, that is the place of all of
// it. repeated is called for each member whose name its object already has; the
// first one stays.
func newTree(value hujson.Value, origin string, repeated func(path string, at, first place)) *node {
	return convert(value, place{value.StartOffset, origin}, "", repeated)
}

func convert(value hujson.Value, at place, path string, repeated func(path string, at, first place)) *node {
	n := &node{kind: value.Value.Kind(), at: at}
	switch v := value.Value.(type) {
	case hujson.Literal:
		n.literal = bytes.Clone(v)
	case *hujson.Array:
		for i, element := range v.Elements {
			n.elements = append(n.elements, convert(element, place{element.StartOffset, at.origin}, joinIndex(path, i), repeated))
		}
	case *hujson.Object:
		seen := make(map[string]place, len(v.Members))
		for _, m := range v.Members {
			name := m.Name.Value.(hujson.Literal).String()
			at := place{m.Name.StartOffset, at.origin}
			if first, ok := seen[name]; ok {
				repeated(joinKey(path, name), at, first)
				continue
			}
			seen[name] = at
			n.members = append(n.members, member{name, convert(m.Value, at, joinKey(path, name), repeated)})
		}
	}
	return n
}

func stringNode(s string, at place) *node {
	return &node{kind: '"', literal: quote(s), at: at}
}

// quote is the JSON string of s, with nothing escaped that need not be.
func quote(s string) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(s) != nil { // no string fails
		return []byte(`""`)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// get returns an object's member, nil if there is none or n is no object. A
// null counts as absent.
func (n *node) get(name string) *node {
	if i := n.index(name); i >= 0 && n.members[i].value.kind != 'n' {
		return n.members[i].value
	}
	return nil
}

func (n *node) index(name string) int {
	if n == nil {
		return -1
	}
	return slices.IndexFunc(n.members, func(m member) bool { return m.name == name })
}

// set replaces an object's member in its place, or adds it at the end.
func (n *node) set(name string, value *node) {
	if i := n.index(name); i >= 0 {
		n.members[i].value = value
		return
	}
	n.members = append(n.members, member{name, value})
}

// text is a string's content, or the JSON text of another scalar.
func (n *node) text() string {
	return hujson.Literal(n.literal).String()
}

// nearest follows the steps as far as they lead and returns the place of where
// they end; found is false if not even the first one leads anywhere.
func (n *node) nearest(steps []step) (at place, found bool) {
	for _, s := range steps {
		switch {
		case n.kind == '{' && !s.isIndex && n.index(s.key) >= 0:
			n = n.members[n.index(s.key)].value
		case n.kind == '[' && s.isIndex && s.index < len(n.elements):
			n = n.elements[s.index]
		default:
			return at, found
		}
		at, found = n.at, true
	}
	return at, found
}

// encode is the value as compact JSON. Members of the value itself (not of what
// is in it) with a name of omit are left out.
func (n *node) encode(omit ...string) []byte {
	return n.append(nil, omit)
}

func (n *node) append(b []byte, omit []string) []byte {
	switch n.kind {
	case '{':
		b = append(b, '{')
		first := true
		for _, m := range n.members {
			if slices.Contains(omit, m.name) {
				continue
			}
			if !first {
				b = append(b, ',')
			}
			first = false
			b = append(append(b, quote(m.name)...), ':')
			b = m.value.append(b, nil)
		}
		return append(b, '}')
	case '[':
		b = append(b, '[')
		for i, element := range n.elements {
			if i > 0 {
				b = append(b, ',')
			}
			b = element.append(b, nil)
		}
		return append(b, ']')
	default:
		return append(b, n.literal...)
	}
}

// describe says what n is, for a fault: never its value.
func (n *node) describe() string {
	switch n.kind {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case 'n':
		return "null"
	default:
		return "a boolean"
	}
}
