package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Key is a key of a section, for the manual.
type Key struct {
	Path        string // "clients[].url"; "headers.*" is any key
	Type        string // "a string", "a list of strings"; "" is anything
	Unit        string // "milliseconds", or ""
	Default     string // JSON; "" is none, or a secret
	Allowed     string // "a, b" or "1 to 65535"; "" says nothing
	Floor       string // a smaller value is raised to it; "" is none
	Example     string // JSON; "" is none
	Required    bool
	Secret      bool
	Deprecated  bool
	Description string
}

// maxKeys are listed, and so many schemas looked at for them.
const (
	maxKeys  = 1000
	maxLooks = 20_000
)

// Keys lists the keys that a section may have, in the schema's order, those
// within objects and lists after what they are in.
func (s *Schema) Keys() []Key {
	l := lister{schema: s}
	l.object("", "", s.root, 0)
	return l.keys
}

type lister struct {
	schema *Schema
	keys   []Key
	looks  int
}

// object lists the keys of the objects that a schema allows. pointer is where
// the schema stands.
func (l *lister) object(path, pointer string, schema any, depth int) {
	object, ok := schema.(map[string]any)
	if l.looks++; !ok || depth > maxDepth/4 || len(l.keys) >= maxKeys || l.looks > maxLooks {
		return // a schema that refers to itself has no end
	}
	if ref, ok := object["$ref"].(string); ok {
		l.object(path, strings.TrimPrefix(ref, "#"), l.schema.resolve(object), depth+1)
	}
	required, _ := object["required"].([]any)
	properties, _ := object["properties"].(map[string]any)
	for _, name := range l.names(pointer+"/properties", properties) {
		l.key(joinKey(path, name), pointer+"/properties/"+escape(name), properties[name], slices.Contains(required, any(name)), depth)
	}
	if inner, ok := object["additionalProperties"].(map[string]any); ok {
		l.key(strings.TrimPrefix(path+".*", "."), pointer+"/additionalProperties", inner, false, depth)
	}
	for _, name := range []string{"allOf", "anyOf", "oneOf"} {
		forms, _ := object[name].([]any)
		for i, form := range forms {
			l.object(path, pointer+"/"+name+"/"+strconv.Itoa(i), form, depth+1)
		}
	}
	if items, ok := object["items"]; ok && path != "" {
		l.object(path+"[]", pointer+"/items", items, depth+1)
	}
}

// names are an object's, in the order of the schema's text.
func (l *lister) names(pointer string, members map[string]any) []string {
	if order := l.schema.order[pointer]; len(order) == len(members) {
		return order
	}
	return slices.Sorted(maps.Keys(members))
}

func (l *lister) key(path, pointer string, schema any, required bool, depth int) {
	given, _ := schema.(map[string]any)
	object := maps.Clone(l.schema.resolve(given))
	if object == nil {
		object = make(map[string]any)
	}
	maps.Copy(object, given) // what stands beside a reference counts, too
	key := Key{Path: path, Required: required, Type: l.typeOf(object, 0), Unit: unitOf(object), Allowed: allowed(object)}
	key.Description, _ = object["description"].(string)
	key.Floor, _ = object["x-floor"].(string)
	switch example := object["x-example"].(type) {
	case string:
		key.Example = example
	case bool: // as the tags of Go structs give it
		key.Example = strconv.FormatBool(example)
	}
	key.Secret = object["writeOnly"] == true
	key.Deprecated = object["deprecated"] == true
	if value, ok := object["default"]; ok && !key.Secret {
		if text, err := json.Marshal(value); err == nil {
			key.Default = string(text)
		}
	}
	l.keys = append(l.keys, key)
	l.object(path, pointer, schema, depth+1)
}

// maxTypeDepth is how deep within one another the types of one key are told.
const maxTypeDepth = 4

// typeOf words the types that a schema allows.
func (l *lister) typeOf(object map[string]any, depth int) string {
	if l.looks++; depth > maxTypeDepth || l.looks > maxLooks {
		return ""
	}
	var names []string
	switch t := object["type"].(type) {
	case string:
		names = []string{t}
	case []any:
		for _, name := range t {
			names = append(names, fmt.Sprint(name))
		}
	}
	var words []string
	for _, name := range names {
		word := typeWord(name)
		if items, ok := object["items"].(map[string]any); ok && name == "array" {
			if inner := l.typeOf(l.schema.resolve(items), depth+1); inner != "" {
				word += " of " + plural(inner)
			}
		}
		if name != "null" {
			words = append(words, word)
		}
	}
	for _, name := range []string{"anyOf", "oneOf"} {
		forms, _ := object[name].([]any)
		for _, form := range forms {
			inner, _ := form.(map[string]any)
			if word := l.typeOf(l.schema.resolve(inner), depth+1); word != "" {
				words = append(words, word)
			}
		}
	}
	return strings.Join(unique(words), " or ")
}

func unique(words []string) []string {
	var kept []string
	for _, word := range words {
		if !slices.Contains(kept, word) {
			kept = append(kept, word)
		}
	}
	return kept
}

// plural is for the words of typeWord.
func plural(word string) string {
	article, noun, found := strings.Cut(word, " ")
	if !found || article != "a" && article != "an" || strings.Contains(noun, " or ") || strings.HasPrefix(noun, "list of") {
		return word
	}
	return noun + "s"
}

// allowed words the values that a schema allows within its type.
func allowed(object map[string]any) string {
	if words, ok := object["enum"].([]any); ok {
		return values(words)
	}
	least, most := bound(object["minimum"]), bound(object["maximum"])
	switch {
	case least != "" && most != "":
		return least + " to " + most
	case least != "" && least != "0":
		return "at least " + least
	case most != "":
		return "at most " + most
	default:
		return ""
	}
}

// bound is a limit worth telling: not that of a machine's whole numbers.
func bound(value any) string {
	n, ok := value.(json.Number)
	if f, err := n.Float64(); !ok || err != nil || f > 1<<42 || f < -1<<42 {
		return ""
	}
	return n.String()
}

// orderOf notes the order of names in all objects of a JSON text, by pointer.
func orderOf(text []byte) map[string][]string {
	order := make(map[string][]string)
	reader := json.NewDecoder(bytes.NewReader(text))
	reader.UseNumber()
	noteOrder(reader, "", order, 0)
	return order
}

func noteOrder(reader *json.Decoder, pointer string, order map[string][]string, depth int) bool {
	token, err := reader.Token()
	if err != nil || depth > 4*maxDepth {
		return false
	}
	opened, _ := token.(json.Delim)
	for i := 0; (opened == '{' || opened == '[') && reader.More(); i++ {
		name := strconv.Itoa(i)
		if opened == '{' {
			key, err := reader.Token()
			if err != nil {
				return false
			}
			name, _ = key.(string)
			order[pointer] = append(order[pointer], name)
		}
		if !noteOrder(reader, pointer+"/"+escape(name), order, depth+1) {
			return false
		}
	}
	if opened == '{' || opened == '[' {
		_, err = reader.Token()
	}
	return err == nil
}
