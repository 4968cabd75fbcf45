package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/tailscale/hujson"
)

const (
	// maxFileBytes is far beyond any configuration that a person keeps.
	maxFileBytes = 4 << 20
	// maxDepth bounds the nesting of values, and so the parser's stack.
	maxDepth = 64
)

// source is the text of the configuration, which faults point into.
type source struct {
	name string // the file's, as the operator gave it
	text []byte // ends with a line break, has no byte order mark
}

// place is where a value comes from.
type place struct {
	offset int    // into the source's text: of the key, or of the array's element
	origin string // of an override: the variable or flag; else ""
}

// readSource reads the configuration. explicit: the operator named the file;
// first: nothing was read yet, so that what the process was handed may be a pipe.
func readSource(path string, explicit, first bool, in inputs) (source, error) {
	// Not opened before it is known to be a file: opening a pipe would wait.
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() && !(first && handed(path)) {
		in.note(path, nil)
		return source{}, fmt.Errorf("config file: %s is not a regular file", path)
	}
	var text []byte
	if err == nil {
		text, err = readFile(path)
	}
	in.note(path, text)
	switch {
	case errors.Is(err, fs.ErrNotExist) && explicit:
		return source{}, fmt.Errorf("config file %s does not exist: %w", path, fs.ErrNotExist)
	case errors.Is(err, fs.ErrNotExist):
		return source{}, fmt.Errorf("there is no %s here: %w; name one with --config FILE, or make one with a token of its own: mpush init",
			path, fs.ErrNotExist)
	case err != nil:
		return source{}, fmt.Errorf("config file: %w", err)
	case len(text) > maxFileBytes:
		return source{}, fmt.Errorf("config file %s is larger than %d MiB", path, maxFileBytes>>20)
	}
	return newSource(path, text), nil
}

// handed tells whether a path is what the process was started with: its stdin,
// or a shell's <(…). It can be read once.
func handed(path string) bool {
	return path == "/dev/stdin" || strings.HasPrefix(path, "/dev/fd/") || strings.HasPrefix(path, "/proc/self/fd/")
}

// readFile returns a file's content, or maxFileBytes and one more of it; never
// nil without an error.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	return content, nil
}

func newSource(name string, text []byte) source {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	// Without a line break at its end a comment on the last line is an error to
	// the parser.
	return source{name, append(bytes.Clone(text), '\n')}
}

// fault makes a fault of a place.
func (s source) fault(at place, path, message string) Fault {
	if at.origin != "" {
		return Fault{File: at.origin, Path: path, Message: message}
	}
	before := s.text[:min(at.offset, len(s.text))]
	start := bytes.LastIndexByte(before, '\n') + 1
	return Fault{
		File:    s.name,
		Line:    1 + bytes.Count(before, []byte("\n")),
		Column:  1 + utf8.RuneCount(before[start:]),
		Path:    path,
		Message: message,
	}
}

// parse reads the text as JSON with comments and trailing commas. On failure
// problem says what is wrong at offset, without quoting a value.
func parse(text []byte) (value hujson.Value, offset int, problem string) {
	if offset, ok := firstInvalid(text); !ok {
		return value, offset, "not UTF-8 text"
	}
	if offset, ok := tooDeep(text); ok {
		return value, offset, fmt.Sprintf("nested deeper than %d levels", maxDepth)
	}
	value, err := hujson.Parse(text)
	if err == nil {
		return value, 0, ""
	}
	// The parser tells the place in its message alone.
	var line, column int
	if _, scanErr := fmt.Sscanf(err.Error(), "hujson: line %d, column %d:", &line, &column); scanErr != nil {
		return value, 0, "not JSON"
	}
	for ; line > 1; line-- {
		offset += bytes.IndexByte(text[offset:], '\n') + 1
	}
	return value, offset + column - 1, describe(errors.Unwrap(err))
}

// describe words a parser's error for the operator.
func describe(err error) string {
	switch text := err.Error(); {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "ends too early (" + strings.TrimSuffix(text, ": "+io.ErrUnexpectedEOF.Error()) + ")"
	case strings.HasPrefix(text, "invalid literal"):
		return "not a valid string, number, true, false or null"
	default:
		return text
	}
}

func firstInvalid(text []byte) (offset int, valid bool) {
	for offset < len(text) {
		r, size := utf8.DecodeRune(text[offset:])
		if r == utf8.RuneError && size == 1 {
			return offset, false
		}
		offset += size
	}
	return 0, true
}

// tooDeep finds the bracket that opens a level too many. It skips strings and
// comments, and leaves all other faults to the parser.
func tooDeep(text []byte) (offset int, found bool) {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{', '[':
			if depth++; depth > maxDepth {
				return i, true
			}
		case '}', ']':
			depth--
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case '/':
			for _, comment := range [][2]string{{"//", "\n"}, {"/*", "*/"}} {
				if rest, ok := bytes.CutPrefix(text[i:], []byte(comment[0])); ok {
					if end := bytes.Index(rest, []byte(comment[1])); end >= 0 {
						i += len(comment[0]) + end + len(comment[1]) - 1
						break
					}
					return 0, false // never closed
				}
			}
		}
	}
	return 0, false
}
