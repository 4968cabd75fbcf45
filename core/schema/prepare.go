package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// What a keyword holds.
const (
	plain      = iota + 1 // a value
	one                   // a schema
	list                  // a list of schemas
	members               // an object of schemas
	expression            // a regular expression
	reference
	refused
)

// keywords are those that are served. Others say nothing that could be checked
// and are left out.
func keywords() map[string]int {
	return map[string]int{
		"type": plain, "enum": plain, "const": plain, "required": plain, "dependentRequired": plain,
		"multipleOf": plain, "maximum": plain, "exclusiveMaximum": plain, "minimum": plain, "exclusiveMinimum": plain,
		"maxLength": plain, "minLength": plain, "maxItems": plain, "minItems": plain, "uniqueItems": plain,
		"maxContains": plain, "minContains": plain, "maxProperties": plain, "minProperties": plain,
		"title": plain, "description": plain, "default": plain, "deprecated": plain, "writeOnly": plain, "x-unit": plain, "x-floor": plain, "x-example": plain,
		"not": one, "if": one, "then": one, "else": one, "items": one, "contains": one, "additionalProperties": one,
		"propertyNames": one, "unevaluatedItems": one, "unevaluatedProperties": one,
		"allOf": list, "anyOf": list, "oneOf": list, "prefixItems": list,
		"properties": members, "patternProperties": members, "dependentSchemas": members, "$defs": members, "definitions": members,
		"pattern": expression, "$ref": reference,
		"$anchor": refused, "$dynamicAnchor": refused, "$dynamicRef": refused, "$recursiveAnchor": refused, "$recursiveRef": refused,
		"$vocabulary": refused,
	}
}

// preparer copies a schema as far as it is served, checks the bounds, and lets
// the meter see each step of a check.
type preparer struct {
	meter    *meter
	register func(*jsonschema.Format)

	steps       int             // formats that were registered: each schema has its own
	places      map[string]bool // of schemas, by pointer
	references  []string        // pointers to such
	expressions int             // their bytes
	work        int             // their sizes, as of sizeOf
}

func (p *preparer) prepare(root any) (any, error) {
	if object, ok := root.(map[string]any); ok {
		if named, ok := object["$schema"]; ok && strings.TrimSuffix(fmt.Sprint(named), "#") != draft {
			return nil, fmt.Errorf("$schema: expected %q", draft)
		}
	}
	prepared, err := p.schema(root, "", 0)
	if err != nil {
		return nil, err
	}
	for _, pointer := range p.references {
		if !p.places[pointer] {
			return nil, fmt.Errorf("$ref: there is no schema at #%s", pointer)
		}
	}
	return prepared, nil
}

func (p *preparer) schema(value any, pointer string, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	if p.places[pointer] = true; len(p.places) > maxSchemas {
		return nil, fmt.Errorf("it has more than %d schemas within it", maxSchemas)
	}
	object, ok := value.(map[string]any)
	if !ok {
		if _, ok := value.(bool); ok {
			return value, nil
		}
		return nil, fmt.Errorf("at #%s: expected a schema, which is an object, true or false", pointer)
	}
	prepared, served := make(map[string]any), keywords()
	cost, work := cost{base: 1}, 0
	for _, name := range slices.Sorted(maps.Keys(object)) {
		part, err := object[name], error(nil)
		at := pointer + "/" + escape(name)
		if pointer != "" && name == "$id" {
			return nil, fmt.Errorf("at #%s: a schema within another has no $id", pointer)
		}
		switch served[name] {
		case 0:
			continue
		case refused:
			err = fmt.Errorf("at #%s: not served: use $ref and $defs", at)
		case plain:
			err = bounded(part, depth+1)
		case one:
			part, err = p.schema(part, at, depth+1)
			cost.base++
		case list:
			part, err = p.list(part, at, depth+1)
			cost.base += length(part)
		case members:
			if name == "patternProperties" {
				cost.each = length(part)
				work = p.work
				err = p.patterns(part)
				cost.names = p.work - work
			}
			if err == nil {
				part, err = p.members(part, at, depth+1)
			}
			cost.base += length(part)
		case expression:
			if text, ok := part.(string); ok {
				work = p.work
				err = p.expression(text)
				cost.text = p.work - work
			}
		case reference:
			err = p.reference(part)
			cost.base++
		}
		if err != nil {
			return nil, err
		}
		prepared[name] = part
	}
	cost.base += length(prepared["enum"])
	cost.deep = prepared["enum"] != nil || prepared["const"] != nil || prepared["uniqueItems"] == true
	// A format is looked at before what lies within the schema.
	p.steps++
	prepared["format"] = "step" + strconv.Itoa(p.steps)
	p.register(&jsonschema.Format{Name: prepared["format"].(string), Validate: p.meter.step(cost)})
	return prepared, nil
}

func (p *preparer) list(value any, pointer string, depth int) (any, error) {
	elements, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf("at #%s: expected a list of schemas", pointer)
	}
	prepared := make([]any, len(elements))
	for i, element := range elements {
		var err error
		if prepared[i], err = p.schema(element, pointer+"/"+strconv.Itoa(i), depth); err != nil {
			return nil, err
		}
	}
	return prepared, nil
}

func (p *preparer) members(value any, pointer string, depth int) (any, error) {
	object, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("at #%s: expected an object of schemas", pointer)
	}
	prepared := make(map[string]any, len(object))
	for name, member := range object {
		if len(name) > maxNameBytes {
			return nil, fmt.Errorf("at #%s: a name of more than %d bytes", pointer, maxNameBytes)
		}
		var err error
		if prepared[name], err = p.schema(member, pointer+"/"+escape(name), depth); err != nil {
			return nil, err
		}
	}
	return prepared, nil
}

func (p *preparer) patterns(value any) error {
	object, _ := value.(map[string]any)
	for pattern := range object {
		if err := p.expression(pattern); err != nil {
			return err
		}
	}
	return nil
}

func (p *preparer) expression(text string) error {
	if p.expressions += len(text); p.expressions > maxExpressionBytes {
		return fmt.Errorf("its regular expressions have more than %d bytes", maxExpressionBytes)
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return err
	}
	if p.work += sizeOf(parsed); p.work > maxExpressionSize {
		return errors.New("its regular expressions are too large: they repeat too much")
	}
	_, err = regexp.Compile(text)
	return err
}

// sizeOf is about how many states an expression has: each byte of a text meets all
// of them at worst. A repetition stands for as many copies.
func sizeOf(e *syntax.Regexp) int {
	size := 1 + len(e.Rune)
	for _, sub := range e.Sub {
		size += sizeOf(sub)
	}
	if e.Op == syntax.OpRepeat {
		size *= max(1, e.Min, e.Max)
	}
	return min(size, maxExpressionSize+1)
}

func (p *preparer) reference(value any) error {
	text, _ := value.(string)
	fragment, local := strings.CutPrefix(text, "#")
	pointer, err := url.PathUnescape(fragment)
	if !local || err != nil || pointer != "" && pointer[0] != '/' {
		return errors.New("$ref: expected a place in the schema itself, such as #/$defs/client")
	}
	p.references = append(p.references, pointer)
	return nil
}

// bounded checks a value that is no schema.
func bounded(value any, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	switch value := value.(type) {
	case map[string]any:
		for _, member := range value {
			if err := bounded(member, depth+1); err != nil {
				return err
			}
		}
	case []any:
		for _, element := range value {
			if err := bounded(element, depth+1); err != nil {
				return err
			}
		}
	case json.Number:
		if !isNear(value) {
			return errors.New("a number out of range")
		}
	}
	return nil
}

// isNear tells whether some float64 is near a number, which else would take no
// end of digits.
func isNear(number json.Number) bool {
	const most = 400
	f, err := number.Float64()
	mantissa, _, _ := strings.Cut(strings.ToLower(number.String()), "e")
	return err == nil && len(number) <= most && (f != 0 || !strings.ContainsAny(mantissa, "123456789"))
}

func length(value any) int {
	switch value := value.(type) {
	case []any:
		return len(value)
	case map[string]any:
		return len(value)
	default:
		return 0
	}
}

// A name as a token of a JSON pointer (RFC 6901), and back.
var (
	escapes   = strings.NewReplacer("~", "~0", "/", "~1")
	unescapes = strings.NewReplacer("~1", "/", "~0", "~")
)

func escape(name string) string   { return escapes.Replace(name) }
func unescape(name string) string { return unescapes.Replace(name) }
