package docs

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mpush/test/harness"
	"mpush/test/shell"
)

//go:embed prelude.sh
var prelude string

func TestMain(m *testing.M) { os.Exit(harness.MainPlain(m, "cmd/mpush", "examples/receiver")) }

// runner follows one page.
type runner struct {
	t         *testing.T
	page      string
	dir       string
	shell     *shell.Shell
	printed   string // by the last block that was run
	refused   string // a line of it that is a failure, unless the page shows it
	terminals int
	libraries []string // of Python, that the page asks for
}

func (r *runner) fatalf(b block, format string, args ...any) {
	r.t.Helper()
	r.t.Fatalf("%s:%d: %s", r.page, b.line, fmt.Sprintf(format, args...))
}

// open starts the shell, for the first block that needs it.
func (r *runner) open() {
	if r.shell != nil {
		return
	}
	shell.Need(r.t, "go", "wget", "/usr/bin/python3", "node", "openssl", "mount", "tar")
	for _, library := range r.libraries {
		if err := exec.CommandContext(r.t.Context(), "/usr/bin/python3", "-c", "import "+library).Run(); err != nil {
			r.t.Skipf("needs Python's %[1]s: apt-get install python3-%[1]s", library)
		}
	}
	r.dir = harness.Dir(r.t) // short: a relay's sockets fit below it
	if err := os.Mkdir(filepath.Join(r.dir, "tmp"), 0o700); err != nil {
		r.t.Fatal(err)
	}
	programs := filepath.Dir(harness.Program(r.t, "mpush"))
	r.shell = shell.Open(r.t, r.dir,
		"MPUSH="+root(r.t),
		// Debian's Python before another, for its packages.
		"PATH="+programs+":/usr/bin:/bin:"+os.Getenv("PATH"),
		"PYTHONUNBUFFERED=1",
		"NODE_OPTIONS="+nodeOptions(),
		"GOPROXY=off",
		"TMPDIR="+filepath.Join(r.dir, "tmp"),
		// Nothing is decided by how fast the machine is.
		"MPUSH_HTTP_WAITTIMEOUT=60000", "MPUSH_WEBSOCKET_RETRYTIMEOUT=60000",
		"NO_COLOR=1",
	)
	if _, err := r.shell.Run(prelude); err != nil {
		r.t.Fatal(err)
	}
}

// nodeOptions has the WebSocket of later versions in node 20, too.
func nodeOptions() string {
	version, _ := exec.Command("node", "--version").Output()
	if strings.HasPrefix(string(version), "v20.") {
		return "--experimental-websocket"
	}
	return ""
}

// exampleMID is the mid of the pages' examples.
const exampleMID = "1596543210123"

// failing are lines that say that a message went nowhere.
var failing = regexp.MustCompile(`(?m)^.*("cmd":"INFO"|"status":\{[^}]*:"no").*$`)

// run runs a block that a page shows, as its reader would.
func (r *runner) run(b block, text string) {
	r.t.Helper()
	r.settle(b)
	r.open()
	if strings.Contains(text, exampleMID) {
		mid, err := r.shell.Run(`printf %s "$MID"`)
		if err != nil {
			r.fatalf(b, "%v", err)
		}
		text = strings.ReplaceAll(text, exampleMID, strings.TrimSpace(mid))
	}
	text = strings.ReplaceAll(text, "/tmp/", r.dir+"/tmp/")
	printed, err := r.shell.Run("{\n" + text + "} </dev/null\n")
	if err != nil {
		r.fatalf(b, "%v\n%s\nit printed\n%s", err, text, printed)
	}
	if mid := mids.FindAllString(printed, -1); len(mid) > 0 {
		if _, err := r.shell.Run("MID=" + mid[len(mid)-1]); err != nil {
			r.fatalf(b, "%v", err)
		}
	}
	r.printed = printed
	if b.mark != hidden {
		r.refused = failing.FindString(printed)
	}
}

// settle fails if the block before b was refused what it asked for, and the page
// does not say so.
func (r *runner) settle(b block) {
	r.t.Helper()
	if r.refused != "" {
		r.fatalf(b, "the block before was refused: %s", r.refused)
	}
}

func (r *runner) write(b block, name string) {
	r.t.Helper()
	r.open()
	if err := r.shell.Write(name, b.text); err != nil {
		r.fatalf(b, "%v", err)
	}
}

// follow does what a page says and returns the blocks that nobody has run.
func follow(t *testing.T, page string, all []block, tutorial bool) (unrun []block) {
	t.Helper()
	r := &runner{t: t, page: page}
	for _, b := range all {
		if b.lang == "python" && strings.Contains(b.text, "\nimport websockets\n") {
			r.libraries = append(r.libraries, "websockets")
		}
	}
	for i, b := range all {
		if tutorial && (b.lang == "sh" || b.mark == "prints" || b.mark == "file") {
			continue
		}
		switch b.mark {
		case hidden:
			r.run(b, b.text)
		case "not run", "later":
			unrun = append(unrun, b)
			inspect(t, page, b)
		case "terminal":
			r.terminals++
			log := fmt.Sprintf("terminal%d.log", r.terminals)
			r.run(b, fmt.Sprintf("{\n%s} >%s 2>&1 &\nTERMINAL=$!\n", b.text, log))
			if b.about != "" {
				r.run(b, fmt.Sprintf("await %s '%s'\n", log, b.about))
			}
		case "file":
			r.write(b, b.about)
			inspect(t, page, b)
		case "insert":
			line := strings.TrimSuffix(strings.TrimSpace(b.text), ",") + ",\n"
			r.write(block{line: b.line, text: line}, "inserted.tmp")
			r.run(b, fmt.Sprintf("grep -qF '%[1]s' config.json\nsed -i '/%[1]s/r inserted.tmp' config.json\n", b.about))
		case "prints":
			if i == 0 {
				r.fatalf(b, "there is nothing that could print it")
			}
			if line := shell.Missing(r.printed, b.text, expression); line != "" {
				r.fatalf(b, "%q was not printed, but\n%s", line, r.printed)
			}
			r.refused = ""
		case "message":
			said(t, page, b)
		default:
			r.plain(b, &unrun)
		}
	}
	if len(all) > 0 {
		r.settle(all[len(all)-1])
	}
	return unrun
}

// plain does what the language of a block without a mark asks for.
func (r *runner) plain(b block, unrun *[]block) {
	r.t.Helper()
	switch b.lang {
	case "sh":
		r.run(b, b.text)
	case "python":
		r.write(b, "snippet.py")
		r.run(b, "python3 snippet.py\n")
	case "js":
		r.write(b, "snippet.mjs")
		r.run(b, "node snippet.mjs\n")
	case "crontab":
		r.write(b, "crontab.txt")
		r.run(b, "crontab_lines <crontab.txt >cron.sh\nsh -eu cron.sh\n")
	case "powershell":
		inspect(r.t, r.page, b)
		if _, err := exec.LookPath("pwsh"); err != nil {
			b.about = "needs PowerShell"
			*unrun = append(*unrun, b)
			return
		}
		r.write(b, "snippet.ps1")
		r.run(b, "pwsh -NoProfile -NonInteractive -File snippet.ps1\n")
	case "jsonc":
		text := strings.TrimSpace(b.text)
		if !strings.HasPrefix(text, "{") {
			text = "{\n" + text + "\n}"
		}
		r.write(block{line: b.line, text: text + "\n"}, "snippet.json")
		r.run(b, "mpush check --config snippet.json\n")
	default:
		if !inspect(r.t, r.page, b) {
			r.fatalf(b, "a block of %q can not be checked: it needs a mark that says why", b.lang)
		}
	}
}

func root(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
