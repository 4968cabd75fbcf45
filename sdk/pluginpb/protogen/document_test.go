package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The page lies outside of what a look at the generated code compares.
func TestProtocolReferenceIsCurrent(t *testing.T) {
	file, err := compile("..")
	if err != nil {
		t.Fatal(err)
	}
	made, err := reference(file, "..")
	if err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile(filepath.Join("..", "..", "..", page))
	if err != nil {
		t.Fatal(err)
	}
	if made != string(kept) {
		t.Errorf("%s is not what plugin.proto says: run make proto", page)
	}
}

func TestReferenceDemandsComments(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{source, handshake} {
		text, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		bare := strings.Replace(string(text), "// Evict ends a route's generation: its leases are void. A connection behind it\n// is closed.\n", "", 1)
		if name == source && bare == string(text) {
			t.Fatal("the comment of Evict has changed: change this test")
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(bare), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, err := compile(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reference(file, dir); err == nil || !strings.Contains(err.Error(), "mpush.plugin.v1.Evict has no comment") {
		t.Errorf("made with %v", err)
	}
}
