package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBackupThatIsElsewhereIsNoBackup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := seesBackup(path, 5); err != nil {
		t.Error(err)
	}
	for _, err := range []error{seesBackup(path, 6), seesBackup(path+".other", 5)} {
		if err == nil || !strings.Contains(err.Error(), "PrivateTmp") {
			t.Errorf("%v", err)
		}
	}
}
