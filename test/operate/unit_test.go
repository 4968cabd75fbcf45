package operate

import (
	"io/fs"
	"iter"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"mpush/test/harness"
)

func ownerOf(info fs.FileInfo) uint32 { return info.Sys().(*syscall.Stat_t).Uid }

// sends has a message accepted for somebody who is not there.
func sends(t *testing.T, url string) {
	t.Helper()
	answer, err := http.Get(url + "/phone.send?text=hello")
	if err != nil {
		t.Fatal(err)
	}
	if text := body(t, answer.Body); !strings.Contains(text, "phone") || answer.StatusCode >= 500 {
		t.Errorf("%d %s", answer.StatusCode, text)
	}
}

// directives are a unit's lines, by key.
func directives(text string) map[string][]string {
	found := make(map[string][]string)
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && line[0] != '#' {
			found[key] = append(found[key], value)
		}
	}
	return found
}

func TestSystemdFindsNoFaultInTheUnit(t *testing.T) {
	analyze := need(t, "systemd-analyze", "systemd")
	dir := harness.Dir(t)
	unit := filepath.Join(dir, "mpush.service")
	text := strings.ReplaceAll(read(t, "mpush.service"), "/usr/local/bin/mpush", harness.Program(t, "mpush"))
	if err := os.WriteFile(unit, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), analyze, "verify", unit).CombinedOutput()
	if err != nil || strings.Contains(string(out), "mpush.service:") {
		t.Errorf("verify: %v\n%s", err, out)
	}
	// 0 is best, 10 is a service without any of it; the threshold is in tenths.
	out, err = exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--threshold=25", "--no-pager", unit).CombinedOutput()
	if err != nil {
		t.Errorf("security: %v\n%s", err, out)
	}
}

// The relay with all its channels does nothing that the unit forbids: it writes
// below its data directory and its own /tmp alone, opens sockets of the allowed
// families, makes the allowed system calls, and no page that is written and run.
func TestRelayKeepsToTheUnit(t *testing.T) {
	strace := need(t, "strace", "strace")
	dir := harness.Dir(t)
	config(t, filepath.Join(dir, "config.json"))
	data, trace := filepath.Join(dir, "data"), filepath.Join(dir, "trace")
	unit := directives(read(t, "mpush.service"))
	t.Run("serve", func(t *testing.T) {
		command := exec.Command(strace, "-f", "-qq", "-y", "-s", "256", "-o", trace,
			harness.Program(t, "mpush"), "serve", "--config", filepath.Join(dir, "config.json"), "--data", data)
		command.Dir = "/"
		sends(t, "http://"+serve(t, command)["http"])
	})
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	calls := make(map[string]string)
	families := strings.Fields(unit["RestrictAddressFamilies"][0])
	opened := regexp.MustCompile(`"((?:[^"\\]|\\.)*)", [A-Z_|]*(?:O_WRONLY|O_RDWR|O_CREAT)`)
	for name, args := range returned(string(text)) {
		calls[name] = args
		switch name {
		case "openat", "open":
			if o := opened.FindStringSubmatch(args); o != nil {
				path := o[1]
				own := strings.HasPrefix(path, os.TempDir()+"/mpush-") && !strings.HasPrefix(path, dir+"/")
				if path != "/dev/null" && !strings.HasPrefix(path, data+"/") && !own && !strings.HasPrefix(path, "/proc/self/") {
					t.Errorf("writes to %s: %s(%s", path, name, args)
				}
			}
		case "socket":
			family, _, _ := strings.Cut(args, ",")
			if !slices.Contains(families, family) {
				t.Errorf("a socket of %s: %s(%s", family, name, args)
			}
		case "mmap", "mprotect":
			if strings.Contains(args, "PROT_WRITE|PROT_EXEC") {
				t.Errorf("a page that is written and run: %s(%s", name, args)
			}
		}
	}
	if len(calls) < 20 {
		t.Fatalf("the trace has %d system calls", len(calls))
	}
	analyze := need(t, "systemd-analyze", "systemd")
	set := func(name string) map[string]bool {
		out, err := exec.CommandContext(t.Context(), analyze, "syscall-filter", "--no-pager").Output()
		if err != nil {
			t.Fatal(err)
		}
		return expand(string(out), name)
	}
	allowed, denied := set("@system-service"), set("@privileged")
	if os.Getuid() == 0 {
		delete(calls, "fchown") // SQLite gives its files to the database's owner, as root alone
	}
	for name, args := range calls {
		if !allowed[name] || denied[name] {
			t.Errorf("a system call that is not allowed: %s(%s", name, args)
		}
	}
}

// returned yields each system call of a trace that returned: its name, and its
// arguments with its result. strace writes a call in two lines when another thread's
// comes between. One without a result may be no call at all: of a thread that ran
// when its process ended, strace tells what was in its registers, whatever call that
// would be.
func returned(trace string) iter.Seq2[string, string] {
	start := regexp.MustCompile(`^(\d+) +(\w+)\((.*)`)
	end := regexp.MustCompile(`^(\d+) +<\.\.\. \w+ resumed>(.*)`)
	type call struct{ name, args string }
	return func(yield func(name, args string) bool) {
		unfinished := make(map[string]call)
		for line := range strings.Lines(trace) {
			var c call
			if m := start.FindStringSubmatch(line); m != nil {
				c = call{m[2], m[3]}
				if args, ok := strings.CutSuffix(c.args, "<unfinished ...>"); ok {
					unfinished[m[1]] = call{c.name, args}
					continue
				}
			} else if m := end.FindStringSubmatch(line); m != nil {
				c = unfinished[m[1]]
				c.args += m[2]
				delete(unfinished, m[1])
			}
			if c.name != "" && !strings.HasSuffix(c.args, " = ?") && !yield(c.name, c.args) {
				return
			}
		}
	}
}

func TestReturnedPassesOverWhatNoThreadCalled(t *testing.T) {
	trace := `11 openat(AT_FDCWD, "/data/a = ?", O_RDWR <unfinished ...>
12 chroot("/") = -1 EPERM (Operation not permitted)
11 <... openat resumed>) = 3</data/a>
13 nanosleep({tv_sec=1, tv_nsec=0},  <unfinished ...>
12 read(3</data/a>, "x", 1) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)
11 exit_group(0 <unfinished ...>
12 syscall_0xfffffffffffffff5(0x1, 0xe7 <unfinished ...>
14 ptrace(0x1 /* PTRACE_??? */, 2 <unfinished ...>
13 <... nanosleep resumed> <unfinished ...>) = ?
12 <... syscall_0xfffffffffffffff5 resumed>) = ?
11 <... exit_group resumed>) = ?
11 +++ exited with 0 +++
`
	var got []string
	for name, args := range returned(trace) {
		got = append(got, name+"("+args)
	}
	want := []string{
		`chroot("/") = -1 EPERM (Operation not permitted)`,
		`openat(AT_FDCWD, "/data/a = ?", O_RDWR ) = 3</data/a>`,
		`read(3</data/a>, "x", 1) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// expand finds a set of system calls in what systemd-analyze prints of all, those
// of the sets within it included.
func expand(text, name string) map[string]bool {
	sets := make(map[string][]string)
	current := ""
	for line := range strings.Lines(text) {
		word := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "@"):
			current = word
		case word == "" || word[0] == '#':
		case current != "":
			sets[current] = append(sets[current], word)
		}
	}
	found := make(map[string]bool)
	var visit func(string)
	visit = func(name string) {
		for _, word := range sets[name] {
			if word[0] == '@' {
				visit(word)
			} else {
				found[word] = true
			}
		}
	}
	visit(name)
	return found
}
