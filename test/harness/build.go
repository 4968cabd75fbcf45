package harness

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// programsVariable names the directory of the built programs. Who sets it has
// others tested, such as those of a release, or has them built once for all
// packages, as .ci/run does.
const programsVariable = "E2E_PROGRAMS"

// parallel is how many tests run at once unless the command line says: they
// wait for other processes most of the time.
const parallel = "4"

// Main builds commands of this module, named by their directories within it,
// runs the tests of a package and returns their exit code. It is what TestMain
// passes to os.Exit. Goroutines that are left when all is over are a failure.
func Main(m *testing.M, commands ...string) int { return run(m, Race, commands) }

// MainPlain is Main with commands that are always built here, and never with the
// race detector: for tests of what is written about them, which others run with it.
func MainPlain(m *testing.M, commands ...string) int {
	if err := os.Unsetenv(programsVariable); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return run(m, false, commands)
}

func run(m *testing.M, detect bool, commands []string) (code int) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", parallel); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	var err error
	if current, err = newScratch(os.TempDir()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := current.close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}()
	if os.Getenv(programsVariable) == "" {
		dir := filepath.Join(current.dir, "bin")
		if err := build(dir, detect, commands); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		os.Setenv(programsVariable, dir)
		defer os.Unsetenv(programsVariable)
	}
	if detect && os.Getenv("GORACE") == "" {
		// Else each of a relay's processes sleeps for a second before it ends, and
		// takes a third more time to start, by a page fault for each small page of
		// what the detector notes.
		os.Setenv("GORACE", "atexit_sleep_ms=0 no_huge_pages_for_shadow=0")
		defer os.Unsetenv("GORACE")
	}
	code = m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// build makes the commands in a directory of their own.
func build(dir string, detect bool, commands []string) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	// Without the state of the checkout in it a program is that of any copy of it,
	// and is not compiled anew there.
	args := []string{"build", "-buildvcs=false", "-o", dir + string(filepath.Separator)}
	if detect {
		args = append(args, "-race")
	}
	for _, command := range commands {
		args = append(args, "./"+command)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// Program returns the path of a built command, named by the last element of its
// directory.
func Program(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv(programsVariable)
	if dir == "" {
		t.Fatal("nothing was built: TestMain must call harness.Main")
	}
	noteSources(t)
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// noteSources looks into every directory of the module. What go test sees a
// test look at belongs to what its cached result depends on; the sources of a
// program that is merely run would not, and a change of them would go untested.
func noteSources(t testing.TB) {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	ours := []string{"cmd", "core", "sdk", "plugins", "examples", "go.mod", "go.sum"}
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case filepath.Dir(path) == root && !slices.Contains(ours, entry.Name()) && entry.IsDir():
			return filepath.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// moduleRoot finds the directory of go.mod, from a package's directory upward.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("there is no go.mod at or above the working directory")
		}
		dir = parent
	}
}
