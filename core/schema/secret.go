package schema

import (
	"encoding/json"
	"regexp"
	"regexp/syntax"
	"slices"
)

// Secrets returns the texts and numbers that a section holds below keys that the
// schema marks as secrets, without repetition. If finding them takes too long,
// it is all that the section holds.
func (s *Schema) Secrets(section []byte) []string {
	value, _, _ := readSection(section)
	f := finder{schema: s, left: maxSteps, expressions: make(map[string]*regexpOf)}
	f.find(s.root, any(value), 0)
	if f.left < 0 {
		f.found = nil
		f.take(value)
	}
	slices.Sort(f.found)
	return slices.Compact(f.found)
}

type finder struct {
	schema *Schema
	left   int
	found  []string

	expressions map[string]*regexpOf // by their text
}

// regexpOf is an expression that is compiled once.
type regexpOf struct {
	*regexp.Regexp
	size int
}

// matches tells whether a name fits an expression of the schema, which was checked.
func (f *finder) matches(pattern, name string) bool {
	e := f.expressions[pattern]
	if e == nil {
		e = &regexpOf{Regexp: regexp.MustCompile(pattern)}
		if parsed, err := syntax.Parse(pattern, syntax.Perl); err == nil {
			e.size = sizeOf(parsed)
		}
		f.expressions[pattern] = e
	}
	f.left -= 1 + matching(len(name), e.size)
	return f.left >= 0 && e.MatchString(name)
}

// find looks at one value by one schema. What may apply does: an alternative
// that does not fit may still tell where a secret is.
func (f *finder) find(schema, value any, refs int) {
	object, ok := schema.(map[string]any)
	if f.left--; !ok || f.left < 0 || value == nil {
		return
	}
	if object["writeOnly"] == true {
		f.take(value)
		return
	}
	if ref, ok := object["$ref"].(string); ok && refs < maxDepth {
		if target := f.schema.object(ref); target != nil {
			f.find(target, value, refs+1)
		}
	}
	for _, name := range []string{"if", "then", "else"} {
		f.find(object[name], value, refs)
	}
	for _, name := range []string{"allOf", "anyOf", "oneOf"} {
		forms, _ := object[name].([]any)
		for _, form := range forms {
			f.find(form, value, refs)
		}
	}
	dependents, _ := object["dependentSchemas"].(map[string]any)
	for _, dependent := range dependents {
		f.find(dependent, value, refs)
	}
	switch value := value.(type) {
	case map[string]any:
		f.members(object, value)
	case []any:
		first, _ := object["prefixItems"].([]any)
		for i, element := range value {
			if i < len(first) {
				f.find(first[i], element, 0)
			} else {
				f.find(object["items"], element, 0)
			}
			f.find(object["contains"], element, 0)
			f.find(object["unevaluatedItems"], element, 0)
		}
	}
}

func (f *finder) members(object, value map[string]any) {
	properties, _ := object["properties"].(map[string]any)
	patterns, _ := object["patternProperties"].(map[string]any)
	for name, member := range value {
		property, known := properties[name]
		if known {
			f.find(property, member, 0)
		}
		for pattern, schema := range patterns {
			if f.left >= 0 && f.matches(pattern, name) {
				known = true
				f.find(schema, member, 0)
			}
		}
		if !known {
			f.find(object["additionalProperties"], member, 0)
			f.find(object["unevaluatedProperties"], member, 0)
		}
	}
}

// take notes all texts and numbers within a value.
func (f *finder) take(value any) {
	switch value := value.(type) {
	case map[string]any:
		for _, member := range value {
			f.take(member)
		}
	case []any:
		for _, element := range value {
			f.take(element)
		}
	case string:
		f.found = append(f.found, value)
	case json.Number:
		f.found = append(f.found, value.String())
	}
}
