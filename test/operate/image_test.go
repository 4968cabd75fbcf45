package operate

import (
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"mpush/test/harness"
)

// stage is an image under construction: what its root would hold lies in a
// directory.
type stage struct {
	name, base, root string
	workdir, user    string
	env              []string
	entrypoint, cmd  []string
	health           []string
}

// steps are the instructions of the Dockerfile, one a line.
func steps(text string) [][2]string {
	var all [][2]string
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		all = append(all, [2]string{word, strings.TrimSpace(rest)})
	}
	return all
}

// build does each step without a container engine: what the first stage does in
// /src and /out is done in the source itself and in a directory.
func build(t *testing.T) *stage {
	t.Helper()
	source, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	stages := make(map[string]*stage)
	var now *stage
	list := func(text string) (words []string) {
		if err := json.Unmarshal([]byte(text), &words); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return words
	}
	for _, step := range steps(read(t, "Dockerfile")) {
		word, rest := step[0], step[1]
		switch word {
		case "FROM":
			base, name, _ := strings.Cut(rest, " AS ")
			now = &stage{name: name, base: base, root: filepath.Join(harness.Dir(t), "root"), workdir: "/"}
			stages[name] = now
			if base != "scratch" && base != "golang:1.26" {
				t.Fatalf("FROM %s: this test has no such base", base)
			}
			if err := os.Mkdir(now.root, 0o755); err != nil {
				t.Fatal(err)
			}
		case "WORKDIR":
			now.workdir = rest
		case "RUN":
			script := strings.ReplaceAll(rest, "/out", filepath.Join(now.root, "out"))
			if os.Getuid() != 0 {
				script = strings.ReplaceAll(script, "chown ", ": ")
			}
			command := exec.CommandContext(t.Context(), "sh", "-ec", script)
			command.Dir = source
			if out, err := command.CombinedOutput(); err != nil {
				t.Fatalf("RUN %s: %v\n%s", rest, err, out)
			}
		case "COPY":
			from, what, found := strings.Cut(strings.TrimPrefix(rest, "--from="), " ")
			if rest == ". ." {
				continue // the source is where it is
			}
			of, known := stages[from]
			if what != "/out/ /" || !found || !known {
				t.Fatalf("COPY %s: this test does not know how", rest)
			}
			if out, err := exec.CommandContext(t.Context(), "cp", "-a", filepath.Join(of.root, "out")+"/.", now.root).CombinedOutput(); err != nil {
				t.Fatalf("COPY: %v\n%s", err, out)
			}
		case "ENV":
			now.env = append(now.env, strings.Fields(rest)...)
		case "USER":
			now.user = rest
		case "ENTRYPOINT":
			now.entrypoint = list(rest)
		case "CMD":
			now.cmd = list(rest)
		case "HEALTHCHECK":
			_, words, _ := strings.Cut(rest, "CMD ")
			now.health = list(words)
		case "VOLUME", "EXPOSE", "STOPSIGNAL":
		default:
			t.Fatalf("%s: this test does not know how", word)
		}
	}
	return now
}

// command runs words in the image as its user: the root is read-only but for
// /data and /tmp, and there is nothing else, as with --read-only --tmpfs /tmp.
func (s *stage) command(words []string, env ...string) *exec.Cmd {
	script := `set -e
mount --make-rprivate /
mount --bind "$ROOT" "$ROOT"
mount --bind "$ROOT/data" "$ROOT/data"
mount -t tmpfs -o mode=1777 tmpfs "$ROOT/tmp"
mount -t proc proc "$ROOT/proc"
mount -o remount,ro,bind "$ROOT"
exec env -i "$@"`
	args := []string{"--mount", "sh", "-c", script, "sh"}
	args = append(args, s.env...)
	args = append(args, env...)
	// chroot is found before the new root is entered.
	chroot, _ := exec.LookPath("chroot")
	args = append(args, chroot, "--userspec="+s.user, "--groups=", s.root)
	args = append(args, words...)
	command := exec.Command("unshare", args...)
	command.Env = append(os.Environ(), "ROOT="+s.root)
	return command
}

func TestImageIsBuiltRunsAndIsHealthy(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux")
	}
	image := build(t)
	program, err := elf.Open(filepath.Join(image.root, image.entrypoint[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	for _, part := range program.Progs {
		if part.Type == elf.PT_INTERP || part.Type == elf.PT_DYNAMIC {
			t.Errorf("the program is not static: %v", part.Type)
		}
	}
	if image.base != "scratch" || strings.HasPrefix(image.user, "0") || image.user == "" || image.user == "root" {
		t.Errorf("from %s, as user %q", image.base, image.user)
	}
	roots, err := os.ReadFile(filepath.Join(image.root, "etc/ssl/certs/ca-certificates.crt"))
	if err != nil || !strings.Contains(string(roots), "BEGIN CERTIFICATE") {
		t.Errorf("roots of certificates: %d bytes, %v", len(roots), err)
	}
	if os.Getuid() != 0 {
		t.Skip("the rest needs root: it enters the image")
	}
	need(t, "unshare", "util-linux")
	need(t, "mount", "mount")
	if out, err := exec.CommandContext(t.Context(), "unshare", "--mount", "mount", "--make-rprivate", "/").CombinedOutput(); err != nil {
		t.Skipf("the rest needs the right to mount: %s", out)
	}
	if err := os.Chmod(filepath.Dir(image.root), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(image.root, "proc"), 0o755); err != nil { // the engine's
		t.Fatal(err)
	}
	health := func() (string, error) {
		out, err := image.command(image.health).CombinedOutput()
		return string(out), err
	}
	if out, err := health(); err == nil {
		t.Errorf("healthy before it runs: %s", out)
	}
	channels := serve(t, image.command(append(image.entrypoint, image.cmd...),
		"MPUSH_TOKEN=a-strong-token-of-a-test", "MPUSH_HTTP_HOST=127.0.0.1", "MPUSH_HTTP_PORT=0", "MPUSH_HTTP_WAITTIMEOUT=500",
		"MPUSH_WEBSOCKET_HOST=127.0.0.1", "MPUSH_WEBSOCKET_PORT=0"))
	if len(channels) != 4 {
		t.Errorf("channels %v", channels)
	}
	sends(t, "http://"+channels["http"])
	deadline := time.Now().Add(harness.Patience)
	for {
		out, err := health()
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not healthy: %v\n%s", err, out)
		}
	}
	info, err := os.Stat(filepath.Join(image.root, "data", "mpush.db"))
	if err != nil || info.Size() == 0 {
		t.Errorf("the volume: %v", err)
	}
	owner := fmt.Sprintf("%d", ownerOf(info))
	if !strings.HasPrefix(image.user, owner+":") {
		t.Errorf("the database belongs to user %s", owner)
	}
}
