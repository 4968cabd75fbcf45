package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// within writes a value at a key path.
func within(path, value string) string {
	parts := strings.Split(path, ".")
	for _, name := range slices.Backward(parts) {
		value = fmt.Sprintf("{%q: %s}", name, value)
	}
	return value
}

func TestEveryKeyIsDescribed(t *testing.T) {
	for _, k := range Reference() {
		if k.Doc == "" || k.Example == "" {
			t.Errorf("%s: give it a text and an example in settingDocs", k.Path)
		}
	}
	described := entryDocs()
	for _, k := range pluginKeys() {
		path, within := strings.CutPrefix(k.path, "plugins.*.")
		outer, _, inner := strings.Cut(path, ".")
		if within && described[path].text == "" && path != "limits" && !(inner && described[outer].text != "") {
			t.Errorf("%s: give it a text in entryDocs", path)
		}
	}
	for path := range settingDocs() {
		if !slices.ContainsFunc(settings(), func(s setting) bool { return s.path == path }) {
			t.Errorf("%s is described and does not exist", path)
		}
	}
}

// The file of an example may name another.
func loadExample(t *testing.T, text string) *Config {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token.txt"), []byte("a-token-of-its-own\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := build(newSource("config.json", []byte(text)), dir, Options{Environ: []string{"HOME=/"}})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c
}

func TestExamplesLoadAndDefaultsAreWhatTheyAre(t *testing.T) {
	bare := loadExample(t, "{}")
	for _, k := range Reference() {
		if c := loadExample(t, within(k.Path, k.Example)); !slices.Equal(bare.Differences(c), []string{k.Path}) || len(c.Warnings) > 0 {
			t.Errorf("%s: the example %s changes %v, warnings %v", k.Path, k.Example, bare.Differences(c), c.Warnings)
		}
		if k.Default == "" {
			continue
		}
		if c := loadExample(t, within(k.Path, k.Default)); len(bare.Differences(c)) > 0 {
			t.Errorf("%s: %s is not the default", k.Path, k.Default)
		}
	}
}

func TestExamplesOfAnEntryLoadAndDefaultsAreWhatTheyAre(t *testing.T) {
	entry := func(path, value string) Channel {
		t.Helper()
		members := map[string]string{"path": `"plugins/file"`, "unpinned": "true"}
		if path == "sha256" {
			delete(members, "unpinned")
		}
		key, inner, nested := strings.Cut(path, ".")
		if nested {
			value = within(inner, value)
		}
		if path == "limits.publishBurst" { // it says nothing by itself
			value = strings.Replace(value, "{", `{"publishRate": 10, `, 1)
		}
		if path != "" {
			members[key] = value
		}
		text := ""
		for key, value := range members {
			text += fmt.Sprintf("%q: %s, ", key, value)
		}
		c := loadExample(t, `{"plugins": {"file": {`+text+`}}}`)
		ch := channel(t, c, "file")
		ch.Path = "" // in a folder of its own each time
		return ch
	}
	usual := entry("", "")
	for _, k := range EntryReference() {
		_ = entry(k.Path, k.Example)
		if k.Default == "" || k.Default == "none" || k.Path == "unpinned" {
			continue
		}
		got := entry(k.Path, k.Default)
		for _, list := range []*[]string{&got.Args, &got.Env, &got.Rights} {
			if len(*list) == 0 {
				*list = nil
			}
		}
		if !reflect.DeepEqual(got, usual) {
			t.Errorf("%s: %s is not the default\n%+v\n%+v", k.Path, k.Default, got, usual)
		}
	}
}
