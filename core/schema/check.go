package schema

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Check returns what is wrong with a section, nil for nothing: by path, and at
// most 100 faults. The section is JSON as the configuration has it, empty if
// there is none; a member that is null counts as absent, if its key is known.
// unknown words the fault of a key that is not among the known ones.
func (s *Schema) Check(section []byte, unknown func(key string, known []string) string) []Fault {
	value, nulls, faults := readSection(section)
	if len(faults) > 0 {
		return faults
	}
	w := wording{schema: s, section: value, unknown: unknown}
	var err, nullErr error
	s.mu.Lock()
	enough := s.meter.run(func() {
		err = s.compiled.Validate(value)
		if nulls != nil {
			nullErr = s.compiled.Validate(nulls)
		}
	})
	s.mu.Unlock()
	if !enough {
		return []Fault{{"", "is too large for the plugin's schema: checking it took too long"}}
	}
	if found, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		faults = w.faults(found)
	}
	if found, ok := errors.AsType[*jsonschema.ValidationError](nullErr); ok {
		w.section = nulls
		faults = append(faults, w.unknownNulls(found)...)
	}
	slices.SortFunc(faults, func(a, b Fault) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Message, b.Message))
	})
	faults = slices.Compact(faults)
	return faults[:min(len(faults), maxFaults)]
}

// readSection parses a section. Null members are left out of value; nulls is the
// section with them, nil if there are none.
func readSection(section []byte) (value, nulls map[string]any, faults []Fault) {
	if len(section) == 0 {
		return map[string]any{}, nil, nil
	}
	whole, err := parse(section)
	if err != nil {
		return nil, nil, []Fault{{"", err.Error()}}
	}
	if whole == nil {
		return map[string]any{}, nil, nil
	}
	nulls, ok := whole.(map[string]any)
	if !ok {
		return nil, nil, []Fault{{"", "expected an object"}}
	}
	var c cleaner
	value, _ = c.clean(nulls, "").(map[string]any)
	if !c.dropped {
		nulls = nil
	}
	return value, nulls, c.faults
}

// cleaner copies values without their null members, and finds numbers that
// nobody means.
type cleaner struct {
	dropped bool
	faults  []Fault
}

func (c *cleaner) clean(value any, path string) any {
	switch value := value.(type) {
	case map[string]any:
		kept := make(map[string]any, len(value))
		for name, member := range value {
			if member == nil {
				c.dropped = true
				continue
			}
			kept[name] = c.clean(member, joinKey(path, name))
		}
		return kept
	case []any:
		kept := make([]any, len(value))
		for i, element := range value {
			kept[i] = c.clean(element, joinIndex(path, i))
		}
		return kept
	case json.Number:
		if !isNear(value) {
			c.faults = append(c.faults, Fault{path, "the number is out of range"})
		}
	}
	return value
}

// joinKey extends a path by a key as package config does: a.b, or a["b.c"] if
// the key is not plain.
func joinKey(path, key string) string {
	quoted, plain := `""`, key != ""
	for _, r := range key {
		plain = plain && (r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
	}
	if !plain {
		var b strings.Builder
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		if encoder.Encode(key) == nil {
			quoted = strings.TrimSuffix(b.String(), "\n")
		}
		return path + "[" + quoted + "]"
	}
	return strings.TrimPrefix(path+"."+key, ".")
}

func joinIndex(path string, index int) string { return path + "[" + strconv.Itoa(index) + "]" }

// pathOf writes the place of a value within a section as a key path.
func pathOf(section any, tokens []string) string {
	path, value := "", section
	for _, token := range tokens {
		if elements, ok := value.([]any); ok {
			i, _ := strconv.Atoi(token)
			path = joinIndex(path, i)
			if value = nil; i < len(elements) {
				value = elements[i]
			}
			continue
		}
		object, _ := value.(map[string]any)
		path, value = joinKey(path, token), object[token]
	}
	return path
}
