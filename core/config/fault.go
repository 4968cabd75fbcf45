package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing that is wrong with the configuration. It never holds a
// value, which might be a secret.
type Fault struct {
	File    string // the file, or the environment variable or flag that set the key
	Line    int    // counts from 1; 0: no place in a file
	Column  int    // in characters, from 1
	Path    string // of the key, "plugins.telegram.path"; "" is the whole file
	Message string // what is wrong and what was expected
}

// Error is the fault on one line: "config.json:3:5: limits.tll: unknown key".
func (f Fault) Error() string {
	var b strings.Builder
	b.WriteString(f.Position())
	if f.Path != "" {
		b.WriteString(": " + f.Path)
	}
	b.WriteString(": " + f.Message)
	return b.String()
}

// Position is the place alone: "config.json:3:5".
func (f Fault) Position() string {
	if f.Line == 0 {
		return f.File
	}
	return fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
}

// report collects what is to be said about one configuration.
type report struct {
	source   source
	faults   []Fault
	warnings []string
	inputs   inputs // the files that were read
}

func (r *report) fault(at place, path, format string, args ...any) {
	r.faults = append(r.faults, r.source.fault(at, path, fmt.Sprintf(format, args...)))
}

func (r *report) warn(at place, path, format string, args ...any) {
	r.warnings = append(r.warnings, r.source.fault(at, path, fmt.Sprintf(format, args...)).Error())
}

// err joins the faults, nil if there are none: those of the file in its order,
// then the others.
func (r *report) err() error {
	slices.SortStableFunc(r.faults, func(a, b Fault) int {
		inFile := func(f Fault) int { return min(f.Line, 1) }
		return cmp.Or(inFile(b)-inFile(a), a.Line-b.Line, a.Column-b.Column)
	})
	errs := make([]error, len(r.faults))
	for i, fault := range r.faults {
		errs[i] = fault
	}
	return errors.Join(errs...)
}
