// Package mpush_test keeps the house in order: who may import whom, which words
// the core may not know, and that the documents say what the tree holds.
package mpush_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// ban is what a room may not import. The pattern is an import path, a path
// followed by "/...", or outside.
type ban struct {
	pattern string
	but     []string // patterns that are allowed all the same
	why     string
}

// outside stands for everything but the standard library: other modules and our
// own packages.
const outside = "outside"

// bans maps each room, a path or a path followed by "/...", to what may not be
// imported there. All rooms that match a package count.
func bans() map[string][]ban {
	const (
		channels = "a new channel needs no change to the core"
		authors  = "the core speaks to plugins by the protocol alone; the sdk is their side of it"
		public   = "whoever writes a channel needs nothing of the core"
		goPlugin = "processes are the supervisor's affair"
	)
	return map[string][]ban{
		"mpush/...": {
			{"mpush/test/...", nil, "the program does not depend on its tests"},
			{"mpush/cmd/...", nil, "commands are not libraries"},
			{"mpush/examples/...", nil, "examples are to be copied, not built upon"},
		},
		"mpush/cmd/...": {
			{"mpush/core/...", []string{"mpush/core", "mpush/core/config", "mpush/core/control", "mpush/core/supervisor"}, "core composes its parts; a command loads the configuration, shows statuses and asks a running relay"},
			{"github.com/hashicorp/...", nil, goPlugin},
		},
		"mpush/cmd/mpush/scaffold": {{"mpush/...", nil, "what it makes is text, that of a stranger's module"}},
		"mpush/core/...": {
			{"mpush/plugins/...", nil, channels},
			{"mpush/sdk/...", []string{"mpush/sdk/pluginpb"}, authors},
		},
		"mpush/core":           {{"github.com/hashicorp/...", nil, goPlugin}},
		"mpush/core/auth":      {{"mpush/core/...", []string{"mpush/core/message"}, "who may come in depends on no queue and no process"}},
		"mpush/core/config":    {{"mpush/...", nil, "the configuration is read before there is anything else"}},
		"mpush/core/control":   {{"mpush/sdk/...", nil, authors}, {"mpush/core/supervisor", nil, "it is told how the channels are"}, {"mpush/core/store/...", nil, "it reads what it is given"}},
		"mpush/core/engine":    {{outside, []string{"mpush/core/message", "mpush/core/record"}, "a deterministic state machine does no I/O"}},
		"mpush/core/guard":     {{outside, nil, "it counts addresses and names, whatever they ask for"}},
		"mpush/core/link":      {{"github.com/hashicorp/...", nil, goPlugin}, {"mpush/core/store/...", nil, "the relay is the store's only user"}, {"mpush/core/supervisor", nil, "a link serves one stream, whoever runs the process"}},
		"mpush/core/message":   {{outside, nil, "every package may import it, so it imports none"}},
		"mpush/core/ops":       {{"mpush/sdk/...", nil, authors}, {"mpush/core/...", []string{"mpush/core/engine", "mpush/core/relay"}, "it is told what happens, and asks what it is given"}},
		"mpush/core/record":    {{outside, []string{"mpush/core/message"}, "what engine and store agree on belongs to neither"}},
		"mpush/core/relay":     {{"github.com/hashicorp/...", nil, goPlugin}, {"mpush/sdk/...", nil, "the loop knows events and effects, no envelopes"}, {"mpush/core/link", nil, "a link submits to the relay, not the other way round"}},
		"mpush/core/schema":    {{outside, []string{"github.com/santhosh-tekuri/jsonschema/v6", "github.com/santhosh-tekuri/jsonschema/v6/kind"}, "it judges what it is given by a schema that it is given"}},
		"mpush/core/store/...": {{"mpush/...", []string{"mpush/core/message", "mpush/core/record", "mpush/core/store"}, "the store keeps records and decides nothing"}},
		"mpush/core/supervisor": {
			{"mpush/core/...", nil, "it runs processes and knows nothing of what travels on their streams"},
		},
		"mpush/sdk/...": {
			{"mpush/core/...", nil, public},
			{"mpush/plugins/...", nil, public},
		},
		"mpush/sdk/pluginpb/...":           {{"mpush/...", nil, "the protocol is the bottom of both sides"}},
		"mpush/sdk/packet":                 {{outside, []string{"github.com/tidwall/gjson"}, "packets are bytes and values"}},
		"mpush/sdk/plugintest/conformance": {{"testing", nil, "a command runs it, too"}},
		"mpush/plugins/...": {
			{"mpush/core/...", nil, "a channel sees the core through the sdk, as a third party's does"},
			{"mpush/plugins/...", nil, "channels know nothing of one another"},
			{"mpush/sdk/pluginpb", nil, "the sdk is enough for every channel, or it is not finished"},
		},
		"mpush/examples/...": {{"mpush/core/...", nil, public}, {"mpush/plugins/...", nil, public}},
		"mpush/test/...":     {{"mpush/core/...", nil, "these tests see the program from outside"}, {"mpush/plugins/...", nil, "these tests see the program from outside"}},
	}
}

// owners maps dependencies to the only rooms that may import them.
func owners() map[string][]string {
	return map[string][]string{
		"github.com/SherClockHolmes/webpush-go": {"mpush/plugins/webpush"},
		"github.com/VictoriaMetrics/metricsql":  {},
		"github.com/bufbuild/protocompile/...":  {"mpush/sdk/pluginpb/protogen"},
		"github.com/eclipse/paho.golang/...":    {"mpush/examples/mqtt"},
		"github.com/emersion/go-message/...":    {"mpush/examples/smtp"},
		"github.com/emersion/go-sasl":           {"mpush/examples/smtp"},
		"github.com/emersion/go-smtp":           {"mpush/examples/smtp"},
		"github.com/fsnotify/fsnotify":          {"mpush/core/config"},
		"github.com/go-viper/mapstructure/...":  {"mpush/sdk"},
		"github.com/golang-jwt/jwt/...":         {"mpush/core/auth"},
		"github.com/gorilla/websocket":          {"mpush/cmd/mpush", "mpush/plugins/websocket", "mpush/examples/...", "mpush/test/..."},
		"github.com/hashicorp/go-plugin/...":    {"mpush/core/supervisor", "mpush/sdk", "mpush/sdk/plugintest/conformance", "mpush/test/foreign"},
		"github.com/invopop/jsonschema":         {"mpush/sdk", "mpush/sdk/dial", "mpush/plugins/...", "mpush/examples/..."},
		"github.com/knadh/koanf/...":            {"mpush/core/config"},
		"github.com/prometheus/...":             {"mpush/core/ops"},
		"github.com/santhosh-tekuri/...":        {"mpush/core/schema"},
		"github.com/spf13/cobra":                {"mpush/cmd/mpush"},
		"github.com/tailscale/hujson":           {"mpush/cmd/mpush", "mpush/core/config"},
		"github.com/tidwall/gjson":              {"mpush/sdk/packet"},
		"github.com/wneessen/go-mail/...":       {"mpush/examples/smtp"},
		"go.uber.org/goleak":                    {"mpush/test/..."},
		"golang.org/x/net/...":                  {"mpush/examples/smtp"},
		"golang.org/x/term":                     {"mpush/cmd/mpush"},
		"modernc.org/sqlite/...":                {"mpush/core/store"},
		"pgregory.net/rapid":                    {"mpush/core/store/storetest"},
	}
}

// matches tells whether a pattern means an import.
func matches(pattern, path string) bool {
	if pattern == outside {
		first, _, _ := strings.Cut(path, "/")
		return first == "mpush" || strings.Contains(first, ".")
	}
	root, tree := strings.CutSuffix(pattern, "/...")
	return path == root || tree && strings.HasPrefix(path, root+"/")
}

func anyMatches(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, path) })
}

// room is one of our packages.
type room struct {
	ImportPath string
	Dir        string
	Doc        string
	GoFiles    []string
	// IgnoredGoFiles are those of other systems: the rules hold for them, too.
	IgnoredGoFiles []string
	imports        []string
}

// rooms lists our packages, with what they import but for their tests.
func rooms(t *testing.T) []room {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,Doc,GoFiles,IgnoredGoFiles", "./...")
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []room
	for decoder := json.NewDecoder(strings.NewReader(string(out))); decoder.More(); {
		var r room
		if err := decoder.Decode(&r); err != nil {
			t.Fatalf("go list: %v", err)
		}
		for _, name := range append(r.GoFiles, r.IgnoredGoFiles...) {
			if !strings.HasSuffix(name, "_test.go") {
				r.imports = append(r.imports, importsOf(t, filepath.Join(r.Dir, name))...)
			}
		}
		slices.Sort(r.imports)
		r.imports = slices.Compact(r.imports)
		if len(r.GoFiles) > 0 {
			all = append(all, r)
		}
	}
	if len(all) < 10 {
		t.Fatalf("go list found %d packages only", len(all))
	}
	return all
}

func importsOf(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, spec := range file.Imports {
		paths = append(paths, unquote(t, spec.Path.Value))
	}
	return paths
}

func unquote(t *testing.T, literal string) string {
	t.Helper()
	text, err := strconv.Unquote(literal)
	if err != nil {
		t.Fatalf("%s: %v", literal, err)
	}
	return text
}

func TestRoomsImportOnlyWhatTheyMay(t *testing.T) {
	used := make(map[string]bool)
	for _, r := range rooms(t) {
		ruled := false
		for pattern, forbidden := range bans() {
			if !matches(pattern, r.ImportPath) {
				continue
			}
			used[pattern] = true
			ruled = ruled || pattern != "mpush/..."
			for _, b := range forbidden {
				for _, path := range r.imports {
					allowed := path == r.ImportPath || anyMatches(b.but, path) || pattern == "mpush/..." && sameTree(path, r.ImportPath)
					if matches(b.pattern, path) && !allowed {
						t.Errorf("%s imports %s: %s", r.ImportPath, path, b.why)
					}
				}
			}
		}
		if !ruled || strings.HasPrefix(r.ImportPath, "mpush/core/") && !hasOwnRule(r.ImportPath) {
			t.Errorf("%s is a new room: say in bans what it may not import", r.ImportPath)
		}
		for dependency, owners := range owners() {
			for _, path := range r.imports {
				if matches(dependency, path) && !anyMatches(owners, r.ImportPath) {
					t.Errorf("%s imports %s, which belongs to %s", r.ImportPath, path, strings.Join(owners, ", "))
				}
			}
		}
	}
	for pattern := range bans() {
		if !used[pattern] {
			t.Errorf("there is no package %s: take it out of bans", pattern)
		}
	}
}

// sameTree lets the packages of one top directory import one another.
func sameTree(a, b string) bool {
	top := func(path string) string { return strings.Join(strings.SplitN(path, "/", 3)[:2], "/") }
	return top(a) == top(b)
}

func hasOwnRule(path string) bool {
	for pattern := range bans() {
		if pattern != "mpush/..." && pattern != "mpush/core/..." && matches(pattern, path) {
			return true
		}
	}
	return false
}

func TestCoreReachesNoChannel(t *testing.T) {
	imports := make(map[string][]string)
	var reached []string
	for _, r := range rooms(t) {
		imports[r.ImportPath] = r.imports
		if matches("mpush/core/...", r.ImportPath) {
			reached = append(reached, r.ImportPath)
		}
	}
	by := make(map[string]string)
	for i := 0; i < len(reached); i++ {
		from := reached[i]
		for _, path := range imports[from] {
			if _, ours := imports[path]; ours && !slices.Contains(reached, path) {
				reached = append(reached, path)
				by[path] = from
			}
		}
	}
	if !slices.Contains(reached, "mpush/sdk/pluginpb") {
		t.Error("the core reaches no mpush/sdk/pluginpb: this test looks at the wrong thing")
	}
	for _, path := range reached {
		if !matches("mpush/core/...", path) && path != "mpush/sdk/pluginpb" {
			t.Errorf("the core reaches %s, by way of %s", path, by[path])
		}
	}
}

// channelWords are names of channels, bundled and not.
func channelWords() []string {
	return []string{"websocket", "webhook", "webpush", "console", "telegram", "mqtt", "smtp", "slack", "apprise"}
}

func TestCoreNamesNoChannel(t *testing.T) {
	looked := 0
	err := filepath.WalkDir("core", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path == filepath.Join("core", "config"):
			return fs.SkipDir // the table of the sections that config.json has had
		case entry.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		looked++
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i, line := range strings.Split(strings.ToLower(string(text)), "\n") {
			for _, word := range channelWords() {
				if strings.Contains(line, word) {
					t.Errorf("%s:%d: the word %q", path, i+1, word)
				}
			}
		}
		return literals(t, path)
	})
	if err != nil {
		t.Fatal(err)
	}
	if looked < 30 {
		t.Errorf("looked at %d files only", looked)
	}
}

// literals finds the name of the channel that is an everyday word.
func literals(t *testing.T, path string) error {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING && strings.EqualFold(unquote(t, literal.Value), "http") {
			t.Errorf("%s: the literal %s", files.Position(literal.Pos()), literal.Value)
		}
		return true
	})
	return nil
}

// Commands are claimed, not known: who passes one on must not hold its name.
func TestOnlyTheirChannelKnowsItsCommands(t *testing.T) {
	words := []string{"webpush", "fcm", "register_"}
	for _, room := range []string{"plugins/http", "plugins/websocket", "sdk", "sdk/packet", "sdk/listen", "core/link", "core/relay", "core/engine", "core"} {
		files, err := filepath.Glob(filepath.Join(room, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", room, len(files), err)
		}
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i, line := range strings.Split(strings.ToLower(string(text)), "\n") {
				for _, word := range words {
					if strings.Contains(line, word) {
						t.Errorf("%s:%d: the word %q", path, i+1, word)
					}
				}
			}
		}
	}
}
