package golden

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
)

// Same tells whether two JSON texts mean the same to a client: whatever the
// order of keys and the spaces, but with every digit of a number. The error says
// which text is no JSON, or shows both.
func Same(want, got string) error {
	w, err := decode(want)
	if err != nil {
		return fmt.Errorf("the golden text is no JSON: %w\n%s", err, want)
	}
	g, err := decode(got)
	if err != nil {
		return fmt.Errorf("no JSON: %w\n got %s\nwant %s", err, got, want)
	}
	if !reflect.DeepEqual(w, g) {
		return fmt.Errorf("\n got %s\nwant %s", got, want)
	}
	return nil
}

// decode reads one JSON value, numbers as they are written.
func decode(text string) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	return value, nil
}
