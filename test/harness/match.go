package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
)

// Match compares two JSON texts: the same members, whatever their order, and
// numbers with the same digits. A string "<word>" in want stands for any string,
// the same wherever the word is repeated. It returns these strings by their
// words, and fails the test if the texts differ.
func Match(t testing.TB, got, want string) map[string]string {
	t.Helper()
	words := make(map[string]string)
	if err := match(got, want, words); err != nil {
		t.Fatalf("%v\n got %s\nwant %s", err, got, want)
	}
	return words
}

func match(got, want string, words map[string]string) error {
	wanted, err := decode(want)
	if err != nil {
		return fmt.Errorf("what is wanted: %w", err)
	}
	value, err := decode(got)
	if err != nil {
		return err
	}
	return compare("", value, wanted, words)
}

func decode(text string) (any, error) {
	reader := json.NewDecoder(strings.NewReader(text))
	reader.UseNumber()
	var value any
	if err := reader.Decode(&value); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if _, err := reader.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("not one JSON value")
	}
	return value, nil
}

func compare(path string, got, want any, words map[string]string) error {
	differ := fmt.Errorf("%s differs", strings.TrimPrefix(path+" ", " "))
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return differ
		}
		names, wanted := slices.Sorted(maps.Keys(object)), slices.Sorted(maps.Keys(want))
		if !slices.Equal(names, wanted) {
			return fmt.Errorf("%s has the members %q, not %q", path, names, wanted)
		}
		for _, name := range names {
			if err := compare(path+"."+name, object[name], want[name], words); err != nil {
				return err
			}
		}
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return differ
		}
		for i := range want {
			if err := compare(fmt.Sprintf("%s[%d]", path, i), list[i], want[i], words); err != nil {
				return err
			}
		}
	case string:
		text, ok := got.(string)
		if word, is := placeholder(want); is && ok {
			if earlier, repeated := words[word]; repeated {
				ok = earlier == text
			}
			words[word], want = text, text
		}
		if !ok || text != want {
			return differ
		}
	default:
		if got != want {
			return differ
		}
	}
	return nil
}

// placeholder returns the word of a string "<word>".
func placeholder(s string) (word string, is bool) {
	word, opened := strings.CutPrefix(s, "<")
	word, closed := strings.CutSuffix(word, ">")
	return word, opened && closed && word != ""
}
