package config

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestReferencesAreExpanded(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"secret": "from file\n", "crlf": "line\r\n", "lines": "a\nb\n\n", "sub/deep": "deep"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for given, want := range map[string]string{
		"${env:A}":                      "1",
		"x${env:A}y${env:QUOTE}z":       `x1y"\z`,
		"${env:EMPTY}":                  "",
		"${env:NESTED}":                 "${env:A}",
		"${file:secret}":                "from file",
		"${file:crlf}":                  "line",
		"${file:lines}":                 "a\nb\n",
		"${file:sub/../sub/deep}":       "deep",
		"${file:" + dir + "/secret}":    "from file",
		"$${env:A}":                     "${env:A}",
		"$${env:A}${env:A}$${file:x}":   "${env:A}1${file:x}",
		"${A} $env:A ${ENV:A} ${x:y} $": "${A} $env:A ${ENV:A} ${x:y} $",
		"${":                            "${",
		"${${env:A}":                    "${1",
	} {
		c, err := build(newSource("config.json", []byte(`{"http": {"k": [{"v": `+string(quote(given))+`}]}}`)), dir,
			Options{Environ: []string{"A=1", "A=2", `QUOTE="\`, "EMPTY=", "NESTED=${env:A}"}})
		if err != nil {
			t.Errorf("%s: %v", given, err)
			continue
		}
		if got := string(channel(t, c, "http").Section); got != `{"k":[{"v":`+string(quote(want))+`}]}` {
			t.Errorf("%s: %s, want %q", given, got, want)
		}
	}
}

func TestTokenIsExpanded(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token.txt"), []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "config.json")
	if err := os.WriteFile(path, []byte(`{"token": "${file:token.txt}"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir()) // relative to the file, not to where we are
	c, err := Load(Options{Path: path})
	if err != nil || c.Token.Reveal() != "s3cret" {
		t.Errorf("token %q, %v", c.Token.Reveal(), err)
	}
}

func TestKeysAreNotExpanded(t *testing.T) {
	c := mustLoad(t, `{"http": {"${env:A}": 1}}`, "A=x")
	if got := string(channel(t, c, "http").Section); got != `{"${env:A}":1}` {
		t.Errorf("%s", got)
	}
}

func TestBadReferencesNameThePlace(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "large"), make([]byte, maxIncludedBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "binary"), []byte("\xff"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{
		"${env:ABSENT}":  "the environment variable ABSENT is not set",
		"${env:BAD}":     "the environment variable BAD is not UTF-8 text",
		"${env:}":        "expected ${env:NAME}: the name or the closing brace is missing",
		"${env:A":        "expected ${env:NAME}: the name or the closing brace is missing",
		"${file:}":       "expected ${file:NAME}: the name or the closing brace is missing",
		"${file:none}":   "stat " + dir + "/none: no such file or directory",
		"${file:.}":      dir + " is not a regular file",
		"${file:pipe}":   dir + "/pipe is not a regular file",
		"${file:large}":  dir + "/large is larger than 64 KiB",
		"${file:binary}": dir + "/binary is not UTF-8 text",
	} {
		_, err := build(newSource("config.json", []byte("{\"http\": {\"a\": [1,\n  "+string(quote(given))+"]}}")), dir,
			Options{Environ: []string{"BAD=\xff"}})
		if err == nil || err.Error() != "config.json:2:3: http.a[1]: "+want {
			t.Errorf("%s:\ngot  %v\nwant %s", given, err, want)
		}
	}
	_, err := loadText(t, "{\n  \"token\": \"${env:ABSENT}\"}")
	if err == nil || !strings.HasPrefix(err.Error(), "config.json:2:3: token: ") {
		t.Errorf("token: %v", err)
	}
}
