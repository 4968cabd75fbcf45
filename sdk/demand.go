package sdk

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/invopop/jsonschema"
)

// demands are the faults of a section by what the tags of its struct demand
// beyond the types, but for keys that are faulty already. What a type's own
// schema says is left to the type.
func demands(schema *jsonschema.Schema, section any, known []error) []error {
	d := demander{faulty: make(map[string]bool)}
	for _, fault := range known {
		if at, ok := fault.(*Invalidity); ok {
			d.faulty[at.Path] = true
		}
	}
	d.check(schema, section, "")
	return d.faults
}

type demander struct {
	faulty map[string]bool // by path
	faults []error
}

func (d *demander) wrong(path, format string, args ...any) {
	if !d.faulty[path] {
		d.faulty[path] = true
		d.faults = append(d.faults, Invalid(path, format, args...))
	}
}

func (d *demander) check(s *jsonschema.Schema, value any, path string) {
	switch value := value.(type) {
	case map[string]any:
		d.object(s, value, path)
	case []any:
		d.list(s, value, path)
	case string:
		d.text(s, value, path)
	case json.Number:
		d.number(s, value, path)
	}
	if len(s.Enum) > 0 && value != nil && !slices.ContainsFunc(s.Enum, func(one any) bool { return same(one, value) }) {
		d.wrong(path, "expected one of %s", words(s.Enum))
	}
}

func (d *demander) object(s *jsonschema.Schema, members map[string]any, path string) {
	for _, key := range s.Required {
		if members[key] == nil {
			d.wrong(within(path, key), "missing")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(members)) {
		property, known := (*jsonschema.Schema)(nil), false
		if s.Properties != nil {
			property, known = s.Properties.Get(key)
		}
		switch {
		case known:
			d.check(property, members[key], within(path, key))
		case s.AdditionalProperties == jsonschema.FalseSchema:
			d.wrong(within(path, key), "unknown key")
		case s.AdditionalProperties != nil:
			d.check(s.AdditionalProperties, members[key], path+"["+key+"]")
		}
	}
}

// within extends a path by a key as mapstructure does.
func within(path, key string) string { return strings.TrimPrefix(path+"."+key, ".") }

func (d *demander) list(s *jsonschema.Schema, elements []any, path string) {
	switch n := uint64(len(elements)); {
	case s.MinItems != nil && n < *s.MinItems:
		d.wrong(path, "expected at least %d in the list, not %d", *s.MinItems, n)
	case s.MaxItems != nil && n > *s.MaxItems:
		d.wrong(path, "expected at most %d in the list, not %d", *s.MaxItems, n)
	case s.UniqueItems && repeats(elements):
		d.wrong(path, "expected no two elements that are the same")
	}
	for i, element := range elements {
		if s.Items != nil {
			d.check(s.Items, element, fmt.Sprintf("%s[%d]", path, i))
		}
	}
}

func repeats(elements []any) bool {
	for i, element := range elements {
		if slices.ContainsFunc(elements[:i], func(other any) bool { return reflect.DeepEqual(element, other) }) {
			return true
		}
	}
	return false
}

func (d *demander) text(s *jsonschema.Schema, text, path string) {
	switch n := uint64(utf8.RuneCountInString(text)); {
	case s.MinLength != nil && n < *s.MinLength:
		d.wrong(path, "expected at least %d characters", *s.MinLength)
	case s.MaxLength != nil && n > *s.MaxLength:
		d.wrong(path, "expected at most %d characters", *s.MaxLength)
	case s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(text): // reflectSchema has looked
		d.wrong(path, "expected a text that matches %s", s.Pattern)
	}
}

func (d *demander) number(s *jsonschema.Schema, number json.Number, path string) {
	value, ok := exactly(number.String())
	if !ok {
		return
	}
	unit := ""
	if s.Extras["x-unit"] != nil {
		unit = fmt.Sprint(" ", s.Extras["x-unit"])
	}
	for _, bound := range []struct {
		at      json.Number
		outside func(order int) bool
		words   string
	}{
		{s.Minimum, func(order int) bool { return order < 0 }, "at least"},
		{s.Maximum, func(order int) bool { return order > 0 }, "at most"},
		{s.ExclusiveMinimum, func(order int) bool { return order <= 0 }, "more than"},
		{s.ExclusiveMaximum, func(order int) bool { return order >= 0 }, "less than"},
	} {
		if at, ok := exactly(bound.at.String()); ok && bound.outside(value.Cmp(at)) {
			d.wrong(path, "expected %s %s%s", bound.words, bound.at, unit)
		}
	}
	if of, ok := exactly(s.MultipleOf.String()); ok && of.Sign() > 0 && !new(big.Rat).Quo(value, of).IsInt() {
		d.wrong(path, "expected a multiple of %s", s.MultipleOf)
	}
}

// exactly reads a number. One that no float64 is near would take no end of
// digits.
func exactly(digits string) (*big.Rat, bool) {
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil || f == 0 && strings.ContainsAny(digits, "123456789") {
		return nil, false
	}
	return new(big.Rat).SetString(digits)
}

// same compares a word of an enum with a value of a section.
func same(one, value any) bool {
	number, ok := value.(json.Number)
	if !ok {
		return reflect.DeepEqual(one, value)
	}
	a, okA := exactly(fmt.Sprint(one))
	b, okB := exactly(number.String())
	return okA && okB && a.Cmp(b) == 0
}

func words(all []any) string {
	var texts []string
	for _, one := range all {
		texts = append(texts, fmt.Sprint(one))
	}
	return strings.Join(texts, ", ")
}
