package auth

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSecretIsMadeOnceForItsOwnerAlone(t *testing.T) {
	dir := t.TempDir()
	first, err := loadSecret(dir)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() != 32 || info.Mode() != 0o600 {
		t.Errorf("%d bytes, mode %v", info.Size(), info.Mode())
	}
	again, err := loadSecret(dir)
	if err != nil || !bytes.Equal(first, again) {
		t.Errorf("second start: %v, same %v", err, bytes.Equal(first, again))
	}
	other, err := loadSecret(t.TempDir())
	if err != nil || bytes.Equal(first, other) {
		t.Errorf("another directory: %v, same %v", err, bytes.Equal(first, other))
	}
}

// A start that died before the rename leaves its unfinished file.
func TestUnfinishedSecretIsReplaced(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret.new"), []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := loadSecret(dir); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "secret" {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestBadSecretFileSaysWhatToDo(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(path string) error
		want    string
	}{
		"short": {func(path string) error { return os.WriteFile(path, make([]byte, 31), 0o600) }, "31 bytes instead of 32"},
		"empty": {func(path string) error { return os.WriteFile(path, nil, 0o600) }, "0 bytes instead of 32"},
		"long":  {func(path string) error { return os.WriteFile(path, make([]byte, 33), 0o600) }, "33 bytes instead of 32"},
		"open to others": {func(path string) error {
			if err := os.WriteFile(path, make([]byte, 32), 0o600); err != nil {
				return err
			}
			return os.Chmod(path, 0o640)
		}, "(mode 0640): run chmod 600"},
		"directory": {func(path string) error { return os.Mkdir(path, 0o700) }, "not a regular file"},
		"link":      {func(path string) error { return os.Symlink("/dev/zero", path) }, "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "secret")
			if err := test.prepare(path); err != nil {
				t.Fatal(err)
			}
			_, err := Open(dir, "token", 0, testNow)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want %q and the path", err, test.want)
			}
		})
	}
}
