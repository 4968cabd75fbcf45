package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/tailscale/hujson"
)

// Pinned is what Pin has done.
type Pinned struct {
	File       string // the configuration
	Executable string
	Before     string // the SHA-256 that the entry had, "" for none
	After      string // that of the executable
}

// Changed tells whether the entry is another one now.
func (p *Pinned) Changed() bool { return p.Before != p.After }

// Pin writes the SHA-256 of a plugin's executable into its entry, in the place of
// "unpinned" if it has that. Every other byte of the file stays. The file is
// replaced at once, with its mode and, as far as that is allowed, its owner; if it
// is a symbolic link, what it points to is. Whether the plugin is switched on does
// not matter, nor does what is wrong elsewhere in the file as long as it is JSON.
func Pin(opts Options, name string) (Pinned, error) {
	path := opts.Path
	if path == "" {
		path = DefaultPath
	}
	file, err := readSource(path, opts.PathExplicit || path != DefaultPath, false, nil)
	if err != nil {
		return Pinned{}, err
	}
	original, err := os.ReadFile(path)
	if err != nil {
		return Pinned{}, fmt.Errorf("config file: %w", err)
	}
	pinned := Pinned{File: path}
	if pinned.Executable, err = executableOf(file, path, name, opts); err != nil {
		return Pinned{}, err
	}
	if pinned.After, err = sumOf(pinned.Executable); err != nil {
		return Pinned{}, fmt.Errorf("plugin %s: %w", name, err)
	}
	edits, before := pinEdits(original, name, pinned.After)
	if pinned.Before = before; len(edits) == 0 {
		return pinned, nil
	}
	return pinned, replaceFile(path, original, apply(original, edits))
}

// executableOf is what the relay would run for a plugin.
func executableOf(file source, path, name string, opts Options) (string, error) {
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return "", fmt.Errorf("config file: %w", err)
	}
	r := &report{source: file}
	root := r.tree()
	if err := r.err(); err != nil {
		return "", err
	}
	plugins := root.get("plugins")
	if plugins.get(name) == nil {
		return "", fmt.Errorf("%s: there is no plugin %q: %s", path, name, knownPlugins(plugins))
	}
	if entry := plugins.get(name); entry.kind != '{' {
		r.fault(entry.at, joinKey("plugins", name), "expected an object, found %s", entry.describe())
		return "", r.err()
	}
	r.lay(root, r.variables(opts.Environ), references(root))
	entry, key := plugins.get(name), joinKey("plugins", name)
	for _, pin := range []string{"sha256", "unpinned"} {
		if n := entry.get(pin); n != nil && n.at.origin != "" {
			r.fault(n.at, joinKey(key, pin), "is set here: unset it, so that the file counts")
		}
	}
	if entry.get("path") == nil {
		r.fault(plugins.members[plugins.index(name)].value.at, key, "path is missing: the plugin's executable, relative to the config file")
	} else {
		newExpander(r, dir, opts.Environ).expand(entry.get("path"), joinKey(key, "path"))
	}
	executable := ""
	r.take(entry, key, "path", text, func(v any) { executable = v.(string) })
	if err := r.err(); err != nil {
		return "", err
	}
	if !filepath.IsAbs(executable) {
		executable = filepath.Join(dir, executable)
	}
	return executable, nil
}

func knownPlugins(plugins *node) string {
	if plugins == nil || len(plugins.members) == 0 {
		return `the file has none under "plugins"`
	}
	var names []string
	for _, m := range plugins.members {
		names = append(names, m.name)
	}
	return "the file has " + strings.Join(names, ", ")
}

func sumOf(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// edit replaces a part of a text.
type edit struct {
	start, end int
	text       string
}

// pinEdits says how to change the file, which is JSON with this entry, and what it
// was pinned to before.
func pinEdits(original []byte, name, sum string) (edits []edit, before string) {
	body := bytes.TrimPrefix(original, []byte("\ufeff"))
	shift := len(original) - len(body)
	value, _, _ := parse(append(bytes.Clone(body), '\n'))
	entry := memberOf(memberOf(&value, "plugins"), name)
	replace := func(v *hujson.Value, text string) {
		edits = append(edits, edit{v.StartOffset + shift, v.EndOffset + shift, text})
	}
	pin, unpinned := fieldOf(entry, "sha256"), fieldOf(entry, "unpinned")
	text := string(quote(sum))
	switch {
	case pin != nil:
		if literal, ok := pin.Value.Value.(hujson.Literal); ok && literal.Kind() == '"' {
			before = strings.ToLower(literal.String())
		}
		if before != sum {
			replace(&pin.Value, text)
		}
		if unpinned != nil && unpinned.Value.Value.Kind() == 't' {
			replace(&unpinned.Value, "false")
		}
	case unpinned != nil:
		replace(&unpinned.Name, `"sha256"`)
		replace(&unpinned.Value, text)
	case fieldOf(entry, "path") != nil:
		end := fieldOf(entry, "path").Value.EndOffset + shift
		edits = append(edits, edit{end, end, `, "sha256": ` + text})
	default: // the environment says what is run
		object, start := entry.Value.(*hujson.Object), entry.StartOffset+len("{")+shift
		if text = `"sha256": ` + text; len(object.Members) > 0 {
			text += ","
		}
		edits = append(edits, edit{start, start, text})
	}
	return edits, before
}

func memberOf(object *hujson.Value, name string) *hujson.Value {
	if m := fieldOf(object, name); m != nil {
		return &m.Value
	}
	return nil
}

func fieldOf(value *hujson.Value, name string) *hujson.ObjectMember {
	if value == nil {
		return nil
	}
	object, ok := value.Value.(*hujson.Object)
	if !ok {
		return nil
	}
	i := slices.IndexFunc(object.Members, func(m hujson.ObjectMember) bool { return m.Name.Value.(hujson.Literal).String() == name })
	if i < 0 {
		return nil
	}
	return &object.Members[i]
}

// apply makes edits that do not overlap.
func apply(text []byte, edits []edit) []byte {
	slices.SortFunc(edits, func(a, b edit) int { return a.start - b.start })
	var out []byte
	at := 0
	for _, e := range edits {
		out = append(append(out, text[at:e.start]...), e.text...)
		at = e.end
	}
	return append(out, text[at:]...)
}

// replaceFile puts a new text in the place of a file's, unless that is not the one
// before any more. It returns once that is on disk: a token that was revoked does
// not come back with the power.
func replaceFile(path string, before, after []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err == nil {
		err = swapFile(path, before, after)
	}
	if err != nil {
		return fmt.Errorf("config file: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("config file: %s is changed, but a power cut may undo that: %w", path, err)
	}
	return nil
}

func swapFile(path string, before, after []byte) (err error) {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temporary.Name()))
		}
	}()
	_, err = temporary.Write(after)
	err = errors.Join(err, temporary.Chmod(info.Mode().Perm()))
	if err == nil {
		err = keepOwner(temporary, info)
	}
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	now, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, before) {
		return fmt.Errorf("%s was changed meanwhile: try again", path)
	}
	return os.Rename(temporary.Name(), path)
}

// syncDir brings a directory to disk, as far as its file system can do that and it
// may be read.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err == nil {
		err = errors.Join(dir.Sync(), dir.Close())
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}
