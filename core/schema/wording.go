package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// wording turns the library's findings into faults. The library's own words
// hold values.
type wording struct {
	schema  *Schema
	section any
	unknown func(key string, known []string) string
}

func (w *wording) faults(e *jsonschema.ValidationError) []Fault {
	at := func(format string, args ...any) []Fault {
		return []Fault{{pathOf(w.section, e.InstanceLocation), fmt.Sprintf(format, args...)}}
	}
	within := func(keys []string, message func(key string) string) (faults []Fault) {
		for _, key := range keys {
			faults = append(faults, Fault{joinKey(pathOf(w.section, e.InstanceLocation), key), message(key)})
		}
		return faults
	}
	object := w.schema.object(e.SchemaURL)
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		return at("expected %s, got %s", w.types(k.Want, object), got(k))
	case *kind.Required:
		return within(k.Missing, func(key string) string { return w.missing(e.SchemaURL, key) })
	case *kind.DependentRequired:
		return within(k.Missing, func(string) string { return "missing: it goes with " + strconv.Quote(k.Prop) })
	case *kind.AdditionalProperties:
		properties, _ := object["properties"].(map[string]any)
		known := slices.Sorted(maps.Keys(properties))
		return within(k.Properties, func(key string) string {
			if len(known) == 0 {
				return "unknown key (none are known here)"
			}
			return w.unknown(key, known)
		})
	case *kind.PropertyNames:
		// The library does not keep the place of this one, but its depth.
		path, _ := find(w.section, "", len(e.InstanceLocation), k.Property)
		return []Fault{{path, "the key itself does not fit: " + w.first(e.Causes)}}
	case *kind.Enum:
		return at("expected one of %s", values(k.Want))
	case *kind.Const:
		return at("expected %s", values([]any{k.Want}))
	case *kind.Minimum:
		return at("expected at least %s", number(k.Want, object))
	case *kind.Maximum:
		return at("expected at most %s", number(k.Want, object))
	case *kind.ExclusiveMinimum:
		return at("expected more than %s", number(k.Want, object))
	case *kind.ExclusiveMaximum:
		return at("expected less than %s", number(k.Want, object))
	case *kind.MultipleOf:
		return at("expected a multiple of %s", number(k.Want, object))
	case *kind.MinLength:
		return at("expected at least %d characters", k.Want)
	case *kind.MaxLength:
		return at("expected at most %d characters", k.Want)
	case *kind.Pattern:
		return at("expected a text that matches %s", k.Want)
	case *kind.MinItems:
		return at("expected at least %d in the list, not %d", k.Want, k.Got)
	case *kind.MaxItems:
		return at("expected at most %d in the list, not %d", k.Want, k.Got)
	case *kind.UniqueItems:
		return at("expected no two elements that are the same")
	case *kind.MinProperties:
		return at("expected at least %d keys, not %d", k.Want, k.Got)
	case *kind.MaxProperties:
		return at("expected at most %d keys, not %d", k.Want, k.Got)
	case *kind.FalseSchema, *kind.Not:
		return at("is not allowed here")
	case *kind.AnyOf:
		return w.alternatives(e)
	case *kind.OneOf:
		if len(k.Subschemas) > 0 {
			return at("fits several of the forms that exclude one another")
		}
		return w.alternatives(e)
	}
	var faults []Fault
	for _, cause := range e.Causes {
		faults = append(faults, w.faults(cause)...)
	}
	if len(faults) == 0 {
		return at("does not fit the plugin's schema (%s)", strings.Join(e.ErrorKind.KeywordPath(), " "))
	}
	return faults
}

// unknownNulls are the faults of keys that are null and not known. With null for
// a value nothing else is a fault.
func (w *wording) unknownNulls(e *jsonschema.ValidationError) []Fault {
	var faults []Fault
	switch k := e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf:
		return nil // it may be known in one of the forms
	case *kind.AdditionalProperties:
		holder := valueAt(w.section, e.InstanceLocation)
		k.Properties = slices.DeleteFunc(k.Properties, func(key string) bool { return holder[key] != nil })
		return w.faults(e)
	}
	for _, cause := range e.Causes {
		faults = append(faults, w.unknownNulls(cause)...)
	}
	return faults
}

// valueAt is the object at a place of a section.
func valueAt(value any, tokens []string) map[string]any {
	for _, token := range tokens {
		switch inner := value.(type) {
		case map[string]any:
			value = inner[token]
		case []any:
			i, _ := strconv.Atoi(token)
			value = inner[i]
		}
	}
	object, _ := value.(map[string]any)
	return object
}

// alternatives words that none of several forms fits: by the one that was most
// likely meant.
func (w *wording) alternatives(e *jsonschema.ValidationError) []Fault {
	var forms [][]Fault
	var types []string
	found := ""
	for _, cause := range e.Causes {
		if k, object := w.typeOf(cause, len(e.InstanceLocation)); k != nil {
			types, found = append(types, w.types(k.Want, object)), got(k)
			continue
		}
		forms = append(forms, w.faults(cause))
	}
	if len(forms) == 0 {
		slices.Sort(types)
		return []Fault{{pathOf(w.section, e.InstanceLocation), "expected " + strings.Join(slices.Compact(types), " or ") + ", got " + found}}
	}
	simple := !slices.ContainsFunc(forms, func(faults []Fault) bool { return len(faults) != 1 || faults[0].Path != forms[0][0].Path })
	if simple {
		var messages []string
		for _, form := range forms {
			messages = append(messages, form[0].Message)
		}
		return []Fault{{forms[0][0].Path, strings.Join(messages, ", or ")}}
	}
	return slices.MinFunc(forms, func(a, b []Fault) int { return len(a) - len(b) })
}

// typeOf is the finding that the value at this depth is of the wrong type, nil
// if that was not it.
func (w *wording) typeOf(e *jsonschema.ValidationError, depth int) (*kind.Type, map[string]any) {
	if k, ok := e.ErrorKind.(*kind.Type); ok && len(e.InstanceLocation) == depth {
		return k, w.schema.object(e.SchemaURL)
	}
	if _, ok := e.ErrorKind.(*kind.Reference); ok && len(e.Causes) == 1 {
		return w.typeOf(e.Causes[0], depth)
	}
	return nil, nil
}

// find returns the path of a key that lies so deep, the first in alphabetical
// order.
func find(value any, path string, depth int, key string) (string, bool) {
	switch value := value.(type) {
	case map[string]any:
		if _, there := value[key]; depth == 0 {
			return joinKey(path, key), there
		}
		for _, name := range slices.Sorted(maps.Keys(value)) {
			if found, ok := find(value[name], joinKey(path, name), depth-1, key); ok {
				return found, true
			}
		}
	case []any:
		for i, element := range value {
			if found, ok := find(element, joinIndex(path, i), depth-1, key); ok {
				return found, true
			}
		}
	}
	return "", false
}

func (w *wording) first(causes []*jsonschema.ValidationError) string {
	for _, cause := range causes {
		return w.faults(cause)[0].Message
	}
	return "it is not allowed"
}

// missing says what a missing key should be.
func (w *wording) missing(schemaURL, key string) string {
	property := w.schema.resolve(w.schema.object(schemaURL + "/properties/" + url.PathEscape(escape(key))))
	var types []string
	switch t := property["type"].(type) {
	case string:
		types = []string{t}
	case []any:
		for _, one := range t {
			types = append(types, fmt.Sprint(one))
		}
	}
	if len(types) == 0 {
		return "missing"
	}
	text := "missing: expected " + w.types(types, property)
	const most = 200 // of a description is worth a place in a fault
	if description, _ := property["description"].(string); description != "" && len(description) <= most {
		text += ": " + strings.TrimSuffix(strings.Join(strings.Fields(description), " "), ".")
	}
	return text
}

// object is the schema at a location, nil if there is none or it is no object.
func (s *Schema) object(schemaURL string) map[string]any {
	_, fragment, _ := strings.Cut(schemaURL, "#")
	pointer, err := url.PathUnescape(fragment)
	if err != nil {
		return nil
	}
	return s.at(pointer)
}

// at is the schema object that a pointer leads to.
func (s *Schema) at(pointer string) map[string]any {
	value := s.root
	for _, token := range strings.Split(pointer, "/")[1:] {
		switch inner := value.(type) {
		case map[string]any:
			value = inner[unescape(token)]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(inner) {
				return nil
			}
			value = inner[i]
		default:
			return nil
		}
	}
	object, _ := value.(map[string]any)
	return object
}

// resolve follows references, up to a bound.
func (s *Schema) resolve(object map[string]any) map[string]any {
	for range maxDepth {
		ref, ok := object["$ref"].(string)
		if !ok {
			return object
		}
		object = s.object(ref)
	}
	return object
}

func (w *wording) types(names []string, object map[string]any) string {
	var words []string
	for _, name := range names {
		words = append(words, typeWord(name))
	}
	text := strings.Join(words, " or ")
	if unit := unitOf(object); unit != "" {
		text += " of " + unit
	}
	return text
}

func typeWord(name string) string {
	switch name {
	case "string":
		return "a string"
	case "integer":
		return "a whole number"
	case "number":
		return "a number"
	case "boolean":
		return "true or false"
	case "array":
		return "a list"
	case "object":
		return "an object"
	default:
		return name
	}
}

// got says what was found instead.
func got(k *kind.Type) string {
	if k.Got == "number" && slices.Contains(k.Want, "integer") {
		return "a fraction"
	}
	return typeWord(k.Got)
}

func unitOf(object map[string]any) string {
	switch unit, _ := object["x-unit"].(string); unit {
	case "ms":
		return "milliseconds"
	case "s":
		return "seconds"
	default:
		return unit
	}
}

func number(n *big.Rat, object map[string]any) string {
	text := n.RatString()
	if !n.IsInt() {
		f, _ := n.Float64()
		text = strconv.FormatFloat(f, 'g', -1, 64)
	}
	if unit, _ := object["x-unit"].(string); unit != "" {
		text += " " + unit
	}
	return text
}

// values lists what a schema allows.
func values(all []any) string {
	const most = 20
	var texts []string
	for _, value := range all[:min(len(all), most)] {
		if text, ok := value.(string); ok {
			texts = append(texts, text)
		} else if text, err := json.Marshal(value); err == nil {
			texts = append(texts, string(text))
		}
	}
	if len(all) > most {
		texts = append(texts, "…")
	}
	return strings.Join(texts, ", ")
}
