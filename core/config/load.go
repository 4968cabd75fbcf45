package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

// DefaultPath is the file that Load reads if none is named.
const DefaultPath = "config.json"

// Options say what Load reads.
type Options struct {
	Path         string            // of the file; "" is DefaultPath
	PathExplicit bool              // the operator named the path
	Environ      []string          // "NAME=value" entries, as os.Environ returns them
	Overrides    map[string]string // from the command line, by key path ("log.level"); over all else
	// Watcher, if not nil, watches what Load reads, for the time after it.
	Watcher *Watcher

	inputs inputs
}

// Load reads and checks a configuration: the file, over it MPUSH_… variables,
// over them the command line. It reads files that the configuration names in
// ${file:…} and has no other effect.
//
// The error names everything that is wrong: it joins Faults in the order of
// their places. A file that cannot be read is an error of another type, which
// wraps fs.ErrNotExist if the file is not there. What can not be watched is a
// warning, or, from the second time on, the last of the errors.
func Load(opts Options) (*Config, error) {
	if opts.Watcher == nil {
		return load(opts)
	}
	again := opts.Watcher.follows()
	opts.inputs = make(inputs)
	c, err := load(opts)
	if cause := opts.Watcher.follow(opts.inputs); cause != nil {
		unwatched := errors.New("changes are not noticed by themselves: watch " + cause.Error()) // not wrapped: what is missing there is not the file
		switch {
		case err == nil:
			c.Warnings = append(c.Warnings, unwatched.Error())
		case again: // else there is nobody who would wait for a change
			err = join(err, unwatched)
		}
	}
	return c, err
}

// join adds an error to one that may be joined itself.
func join(err, more error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return errors.Join(append(slices.Clone(joined.Unwrap()), more)...)
	}
	return errors.Join(err, more)
}

func load(opts Options) (*Config, error) {
	path := opts.Path
	if path == "" {
		path = DefaultPath
	}
	text, err := readSource(path, opts.PathExplicit, !opts.Watcher.follows(), opts.inputs)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("config file: %w", err)
	}
	return build(text, dir, opts)
}

// build is Load for a text that is at hand. dir is where relative paths start.
func build(text source, dir string, opts Options) (*Config, error) {
	r := &report{source: text, inputs: opts.inputs}
	root := r.tree()
	if err := r.err(); err != nil {
		return nil, err
	}
	c := &Config{Path: text.name, source: &text, root: root}
	r.checkTop(root)
	file := r.fileLayer(root)
	ignored := references(root)
	environment := r.lay(root, r.variables(opts.Environ), ignored)
	command := r.lay(root, flags(opts.Overrides), ignored)

	e := newExpander(r, dir, opts.Environ)
	if token := file["token"]; token != nil && environment["token"] == nil && command["token"] == nil {
		e.expand(token, "token")
	}
	if tokens := file["tokens"]; tokens != nil && environment["tokens"] == nil && command["tokens"] == nil {
		e.expand(tokens, "tokens")
	}
	c.layers = []layer{command, environment, file}
	if err := r.apply(c, file, environment, command); err != nil {
		return nil, err
	}
	r.bundledSections(c, root, e)
	r.pluginEntries(c, root, e)
	c.Warnings = r.warnings
	if err := r.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// tree parses the text. What it returns is of use only if there are no faults.
func (r *report) tree() *node {
	value, offset, problem := parse(r.source.text)
	if problem != "" {
		r.fault(place{offset: offset}, "", "%s", problem)
		return nil
	}
	root := newTree(value, "", func(path string, at, first place) {
		r.fault(at, path, "given twice, first in line %d", r.source.fault(first, "", "").Line)
	})
	if root.kind != '{' {
		r.fault(root.at, "", "expected an object, found %s", root.describe())
	}
	return root
}

// checkTop reports top-level keys that do not exist.
func (r *report) checkTop(root *node) {
	known := topLevelNames()
	for _, m := range root.members {
		if slices.Contains(known, m.name) {
			continue
		}
		hint := UnknownKey(m.name, known)
		if _, near := nearest(m.name, known); !near && m.value.kind == '{' {
			hint += `; the channel of a third party belongs into "plugins"`
		}
		r.fault(m.value.at, joinKey("", m.name), "%s", hint)
	}
}
