package control

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mpush/core/record"
)

func TestSocketIsForItsOwnerAlone(t *testing.T) {
	dir := t.TempDir()
	path, err := SocketPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	// One that was left behind is in nobody's way.
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(path) })
	open(t, &office{}, dir)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Mode().Type() != fs.ModeSocket {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestSocketOfALongPathIsElsewhere(t *testing.T) {
	short, err := SocketPath("/d")
	if err != nil || short != "/d/control.sock" {
		t.Errorf("%s, %v", short, err)
	}
	deep := "/" + strings.Repeat("deep/", 30)
	one, err := SocketPath(deep + "a")
	if err != nil {
		t.Fatal(err)
	}
	other, err := SocketPath(deep + "b")
	if err != nil {
		t.Fatal(err)
	}
	if one == other || len(one) > 104 || filepath.Dir(one) != filepath.Clean(os.TempDir()) {
		t.Errorf("%s and %s", one, other)
	}
}

func TestClientOfALongPathAsksItsOwnUsersSocketAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 20))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path, err := SocketPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	open(t, &office{accounts: []record.Account{}}, dir)
	own := newClient(dir, path, os.Getuid())
	defer own.Close()
	if _, err := own.Audit(t.Context()); err != nil {
		t.Error(err)
	}
	other := newClient(dir, path, os.Getuid()+1)
	defer other.Close()
	if _, err := other.Audit(t.Context()); err == nil || !strings.Contains(err.Error(), "belongs to user") {
		t.Errorf("another user's socket: %v", err)
	}
}

func TestClientSaysWhenThereIsNoRelay(t *testing.T) {
	dir := t.TempDir()
	client, err := NewClient(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Status(t.Context()); err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "mpush serve") {
		t.Errorf("%v", err)
	}
	// A socket that was left behind is no relay.
	listener, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	listener.(interface{ SetUnlinkOnClose(bool) }).SetUnlinkOnClose(false)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		path, _ := SocketPath(dir)
		_ = os.Remove(path)
	})
	if _, err := client.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "mpush serve") {
		t.Errorf("%v", err)
	}
}

func TestTimesAndMidsAreTextInJSON(t *testing.T) {
	text, err := json.Marshal(struct {
		At    Time
		Never Time
		MID   MID
	}{at(1_596_543_210_123), at(0), 1596543210123})
	const want = `{"At":"2020-08-04T12:13:30.123Z","Never":"","MID":"1596543210123"}`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v, want %s", text, err, want)
	}
	var back struct {
		At    Time
		Never Time
		MID   MID
	}
	if err := json.Unmarshal([]byte(want), &back); err != nil || back.At.UnixMilli() != 1_596_543_210_123 || !back.Never.IsZero() || back.MID != 1596543210123 {
		t.Errorf("%+v, %v", back, err)
	}
}
