package sdk

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"
)

var durationType = reflect.TypeFor[time.Duration]()

// decodeValue decodes one value of a section if it is no container, and checks
// the kind of those. A nil result tells mapstructure that there is nothing left
// to do; it never sees a number and a string mixed up, or one out of range.
func decodeValue(from, to reflect.Value) (any, error) {
	value := from.Interface()
	if to.CanAddr() {
		if u, ok := to.Addr().Interface().(json.Unmarshaler); ok {
			return nil, unmarshal(u, value)
		}
		if u, ok := to.Addr().Interface().(encoding.TextUnmarshaler); ok {
			text, ok := value.(string)
			if !ok {
				return nil, errors.New(expected("a string", value))
			}
			return nil, u.UnmarshalText([]byte(text))
		}
	}
	switch to.Kind() {
	case reflect.Bool:
		b, ok := value.(bool)
		if !ok {
			return nil, errors.New(expected("true or false", value))
		}
		to.SetBool(b)
		return nil, nil
	case reflect.String:
		text, ok := value.(string)
		if !ok {
			return nil, errors.New(expected("a string", value))
		}
		to.SetString(text)
		return nil, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
		number, ok := value.(json.Number)
		if !ok {
			if to.Type() == durationType {
				return nil, errors.New(expected("a number of milliseconds", value))
			}
			return nil, errors.New(expected("a number", value))
		}
		return nil, setNumber(to, number.String())
	case reflect.Struct, reflect.Map:
		if _, ok := value.(map[string]any); !ok {
			return nil, errors.New(expected("an object", value))
		}
	case reflect.Slice, reflect.Array:
		list, ok := value.([]any)
		if !ok {
			return nil, errors.New(expected("a list", value))
		}
		if i := slices.Index(list, nil); i >= 0 && !takesNull(to.Type().Elem()) {
			return nil, Invalid(fmt.Sprintf("[%d]", i), "expected a value, got null")
		}
		to.SetZero() // a list replaces its default, instead of being merged into it
	}
	return value, nil
}

// takesNull tells whether null is a value to a list's elements. As a member of an
// object it is as good as absent, but a list has no absent elements.
func takesNull(element reflect.Type) bool {
	return element.Kind() == reflect.Interface || reflect.PointerTo(element).Implements(jsonUnmarshaler)
}

func unmarshal(u json.Unmarshaler, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return u.UnmarshalJSON(text)
}

const mostMilliseconds = math.MaxInt64 / int64(time.Millisecond)

func setNumber(to reflect.Value, digits string) error {
	switch {
	case to.Type() == durationType:
		ms, err := wholeNumber(digits, 0, mostMilliseconds)
		to.SetInt(ms * int64(time.Millisecond))
		return err
	case to.CanInt():
		bits := to.Type().Bits()
		n, err := wholeNumber(digits, math.MinInt64>>(64-bits), math.MaxInt64>>(64-bits))
		to.SetInt(n)
		return err
	case to.CanUint():
		most := uint64(math.MaxUint64) >> (64 - to.Type().Bits())
		n, err := strconv.ParseUint(digits, 10, 64)
		if err != nil || n > most {
			if _, err := strconv.ParseInt(digits, 10, 64); err != nil && !errors.Is(err, strconv.ErrRange) {
				return fmt.Errorf("expected a whole number, got %s", digits)
			}
			return fmt.Errorf("%s is out of range, 0 to %d", digits, most)
		}
		to.SetUint(n)
		return nil
	default:
		n, err := strconv.ParseFloat(digits, to.Type().Bits())
		if err != nil {
			return fmt.Errorf("%s is out of range", digits)
		}
		to.SetFloat(n)
		return nil
	}
}

func wholeNumber(digits string, least, most int64) (int64, error) {
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("expected a whole number, got %s", digits)
	}
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%s is out of range, %d to %d", digits, least, most)
	}
	return n, nil
}

// expected says what was found instead, in the words of a config file.
func expected(what string, found any) string {
	return "expected " + what + ", got " + kindOf(found)
}

func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "a list"
	default:
		return "an object"
	}
}
