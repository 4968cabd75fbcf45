// Package schema checks a channel's section of the configuration with the JSON
// Schema that its plugin tells. The schema is untrusted: its size, depth,
// expressions and the work that it makes are bounded, it loads nothing, and
// what goes beyond that does not compile. What the package says of a section
// never holds a value of it, which might be a secret. It knows no file: the
// caller turns key paths into places.
package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	maxBytes = 256 << 10
	// maxDepth is that of a configuration.
	maxDepth = 64
	// maxSchemas and maxNameBytes bound what the places of all schemas take.
	maxSchemas   = 10_000
	maxNameBytes = 200
	// maxExpressionBytes is for all regular expressions together: a short one
	// can be large when it is compiled.
	maxExpressionBytes = 8 << 10
	maxExpressionSize  = 20_000
	// maxSteps bound a check: a schema that refers to itself, or twice to what
	// refers twice, could take for ever. 20,000 clients of ten keys fit.
	maxSteps = 1_000_000
	// maxFaults are told of one section.
	maxFaults = 100
)

// draft is the one that is served.
const draft = "https://json-schema.org/draft/2020-12/schema"

// location is what the compiler calls the schema; nothing is there.
const location = "schema:///section"

// Fault is one thing that is wrong with a section.
type Fault struct {
	// Path is the key's within the section, "clients[0].url"; "" is the section.
	Path string
	// Message is what was expected.
	Message string
}

// Schema is a compiled schema. Its methods may be called from any goroutine.
type Schema struct {
	root     any // the schema as far as it is served
	order    map[string][]string
	compiled *jsonschema.Schema

	mu    sync.Mutex // holds for a check
	meter meter
}

// Compile reads a schema. The error says what about it is wrong, for its author.
func Compile(text []byte) (*Schema, error) {
	if len(text) > maxBytes {
		return nil, fmt.Errorf("it has %d bytes, more than %d", len(text), maxBytes)
	}
	root, err := parse(text)
	if err != nil {
		return nil, err
	}
	s := &Schema{order: orderOf(text)}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(nothing{})
	compiler.AssertFormat() // the meter's alone are left
	p := preparer{places: make(map[string]bool), meter: &s.meter, register: compiler.RegisterFormat}
	if s.root, err = p.prepare(root); err != nil {
		return nil, err
	}
	if err := compiler.AddResource(location, s.root); err != nil {
		return nil, readable(err)
	}
	if s.compiled, err = compiler.Compile(location); err != nil {
		return nil, readable(err)
	}
	return s, nil
}

// parse reads one JSON value and keeps the digits of its numbers.
func parse(text []byte) (any, error) {
	reader := json.NewDecoder(bytes.NewReader(text))
	reader.UseNumber()
	var value any
	if err := reader.Decode(&value); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if _, err := reader.Token(); err != io.EOF {
		return nil, errors.New("not JSON: something follows it")
	}
	return value, nil
}

// nothing loads nothing.
type nothing struct{}

func (nothing) Load(string) (any, error) {
	return nil, errors.New("a schema refers to nothing outside of itself")
}

// readable makes one line of the compiler's error.
func readable(err error) error {
	const most = 500
	text := strings.Join(strings.Fields(strings.ReplaceAll(err.Error(), location, "")), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return errors.New(text)
}
