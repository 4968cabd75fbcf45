package config

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pinning is a directory with a program and a configuration.
func pinning(t *testing.T, text string) (path, sum string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("program", "#!/bin/true", 0o755)
	return write("config.json", text, 0o640), fmt.Sprintf("%x", sha256.Sum256([]byte("#!/bin/true")))
}

func TestPinChangesNothingButThePin(t *testing.T) {
	old := strings.Repeat("AB", 32)
	for _, test := range []struct{ name, text, want, before string }{
		{"unpinned", "\ufeff// mine\r\n{\r\n  \"token\": \"密码\", /* a */ \"plugins\": { // all\r\n    \"mail\": { \"unpinned\" /* for now */ : true, // later\r\n      \"path\": \"program\", }, },\r\n}//end",
			"\ufeff// mine\r\n{\r\n  \"token\": \"密码\", /* a */ \"plugins\": { // all\r\n    \"mail\": { \"sha256\" /* for now */ : \"SUM\", // later\r\n      \"path\": \"program\", }, },\r\n}//end", ""},
		{"pinned to another", `{"plugins": {"other": {"sha256": "x"}, "mail": {"path": "program", "sha256": "` + old + `"}}}`,
			`{"plugins": {"other": {"sha256": "x"}, "mail": {"path": "program", "sha256": "SUM"}}}`, strings.ToLower(old)},
		{"both", `{"plugins": {"mail": {"unpinned": true, "path": "program", "sha256": "` + old + `"}}}`,
			`{"plugins": {"mail": {"unpinned": false, "path": "program", "sha256": "SUM"}}}`, strings.ToLower(old)},
		{"neither", "{\"plugins\": {\"mail\": {\n  \"path\": \"program\" // mine\n}}}", "{\"plugins\": {\"mail\": {\n  \"path\": \"program\", \"sha256\": \"SUM\" // mine\n}}}", ""},
		{"switched off", `{"plugins": {"mail": {"enabled": false, "path": "./program", "unpinned": false}}}`,
			`{"plugins": {"mail": {"enabled": false, "path": "./program", "sha256": "SUM"}}}`, ""},
		{"null", `{"plugins": {"mail": {"sha256": null, "path": "program"}}}`, `{"plugins": {"mail": {"sha256": "SUM", "path": "program"}}}`, ""},
		{"with a fault elsewhere", `{"limits": {"tll": 5}, "plugins": {"mail": {"path": "program", "unpinned": true, "x": 1}}}`,
			`{"limits": {"tll": 5}, "plugins": {"mail": {"path": "program", "sha256": "SUM", "x": 1}}}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			path, sum := pinning(t, test.text)
			want := strings.ReplaceAll(test.want, "SUM", sum)
			for round, before := range []string{test.before, sum} {
				pinned, err := Pin(Options{Path: path}, "mail")
				if err != nil {
					t.Fatal(err)
				}
				if pinned.Before != before || pinned.After != sum || pinned.Changed() != (round == 0) || pinned.Executable != filepath.Join(filepath.Dir(path), "program") {
					t.Errorf("round %d: %+v", round, pinned)
				}
				if got, _ := os.ReadFile(path); string(got) != want {
					t.Errorf("round %d: got\n%q, want\n%q", round, got, want)
				}
			}
			entries, _ := os.ReadDir(filepath.Dir(path))
			if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 || len(entries) != 2 {
				t.Errorf("mode %v, %v, beside it %v", info.Mode(), err, entries)
			}
		})
	}
}

func TestPinFollowsLinksAndTheEnvironment(t *testing.T) {
	path, sum := pinning(t, `{"plugins": {"mail": {"path": "${env:WHERE}/program", "unpinned": true}, "late": {"unpinned": true}, "bare": {}}}`)
	link := filepath.Join(t.TempDir(), "link.json")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(filepath.Dir(path), "program")
	environ := []string{"WHERE=" + filepath.Dir(path), "MPUSH_PLUGINS_LATE_PATH=" + program, "MPUSH_PLUGINS_BARE_PATH=" + program}
	for _, name := range []string{"mail", "late", "bare"} {
		if pinned, err := Pin(Options{Path: link, Environ: environ}, name); err != nil || pinned.Executable != program || pinned.After != sum {
			t.Errorf("%s: %+v, %v", name, pinned, err)
		}
	}
	want := strings.ReplaceAll(`{"plugins": {"mail": {"path": "${env:WHERE}/program", "sha256": "SUM"}, "late": {"sha256": "SUM"}, "bare": {"sha256": "SUM"}}}`, "SUM", sum)
	if got, _ := os.ReadFile(path); string(got) != want {
		t.Errorf("got %s", got)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info, err)
	}
}

func TestPinSaysWhatIsWrong(t *testing.T) {
	const good = `{"plugins": {"mail": {"path": "program", "unpinned": true}}}`
	for _, test := range []struct {
		text, name, want string
		environ          []string
	}{
		{good, "mial", `there is no plugin "mial": the file has mail`, nil},
		{`{}`, "mail", `there is no plugin "mail": the file has none under "plugins"`, nil},
		{`{"plugins": {"mail": {"path": "gone"}}}`, "mail", "plugin mail: stat ", nil},
		{`{"plugins": {"mail": {"path": "."}}}`, "mail", "is not a regular file", nil},
		{`{"plugins": {"mail": {"unpinned": true}}}`, "mail", "1:14: plugins.mail: path is missing", nil},
		{`{"plugins": {"mail": 5}}`, "mail", "1:14: plugins.mail: expected an object, found a number", nil},
		{`{"plugins": {"mail": {"path": "${env:ABSENT}"}}}`, "mail", "plugins.mail.path: the environment variable ABSENT is not set", nil},
		{`{"plugins": {"mail": }}`, "mail", "1:22: ", nil},
		{good, "mail", "environment variable MPUSH_PLUGINS_MAIL_SHA256: plugins.mail.sha256: is set here", []string{"MPUSH_PLUGINS_MAIL_SHA256=ab"}},
	} {
		path, _ := pinning(t, test.text)
		_, err := Pin(Options{Path: path, Environ: test.environ}, test.name)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.text, err, test.want)
		}
		if got, _ := os.ReadFile(path); string(got) != test.text {
			t.Errorf("%s: it was changed to %s", test.text, got)
		}
	}
}

func TestPinLeavesAFileThatOthersChange(t *testing.T) {
	path, _ := pinning(t, `{"plugins": {}}`)
	err := replaceFile(path, []byte("{}"), []byte(`{"a": 1}`))
	if err == nil || !strings.Contains(err.Error(), "was changed meanwhile: try again") {
		t.Errorf("%v", err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 2 {
		t.Errorf("left behind: %v", entries)
	}
}
