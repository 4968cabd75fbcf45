package conformance_test

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest/conformance"
)

// viceVariable makes this test's executable a crooked plugin.
const viceVariable = "CONFORMANCE_TEST_VICE"

func TestMain(m *testing.M) {
	if vice, set := os.LookupEnv(viceVariable); set {
		beCrooked(strings.TrimPrefix(vice, "="))
	}
	flag.Parse()
	// They wait for other processes most of the time.
	if err := flag.Set("test.parallel", "12"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// beCrooked serves a crooked plugin as a process.
func beCrooked(vice string) {
	if vice == "handshake" {
		fmt.Println("1|1|unix|/tmp/elsewhere.sock|grpc|")
		linger()
	}
	stderr := os.Stderr // go-plugin puts another in its place
	c := newCrooked(vice, &atomic.Bool{})
	c.leave = func() { os.Exit(0) }
	if vice == "exit-core" {
		// Whoever waits until somebody reads this waits for ever.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
		c.leave = func() {
			if _, err := stderr.WriteString("goodbye\n"); err != nil {
				linger()
			}
			os.Exit(0)
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		if vice != "exit-stdin" {
			c.leave()
		}
	}()
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: goplugin.HandshakeConfig{
			ProtocolVersion: pluginpb.ProtocolVersion, MagicCookieKey: pluginpb.CookieKey, MagicCookieValue: pluginpb.CookieValue,
		},
		Plugins:    goplugin.PluginSet{pluginpb.PluginName: &served{c: c}},
		GRPCServer: goplugin.DefaultGRPCServer,
	})
	if vice == "exit-stdin" || vice == "exit-stream" || vice == "exit-core" {
		linger()
	}
	os.Exit(0)
}

type served struct {
	goplugin.NetRPCUnsupportedPlugin
	c *crooked
}

func (s *served) GRPCServer(_ *goplugin.GRPCBroker, server *grpc.Server) error {
	pluginpb.RegisterPluginServer(server, s.c)
	return nil
}

func (s *served) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}

// failures runs checks and returns the names of those that fail.
func failures(t *testing.T, target conformance.Target, which func(conformance.Check) bool) (failed []string) {
	t.Helper()
	target.Config = crookedSection
	target.Section = bySchema
	target.Commands = []conformance.Command{{Name: "CROOK", Data: "{}"}}
	target.Receivers = []string{"ahead", "plain"}
	target.Messages = 80
	target.Patience = cmp.Or(target.Patience, 20*time.Second)
	kit, err := conformance.New(target)
	if err != nil {
		t.Fatal(err)
	}
	defer kit.Close()
	for _, check := range conformance.Checks() {
		if !which(check) {
			continue
		}
		switch result := kit.Run(t.Context(), check); result.Status {
		case conformance.Failed:
			t.Logf("%s: %s", check.Name, result.Reason)
			failed = append(failed, check.Name)
		case conformance.Skipped:
			t.Logf("%s is skipped: %s", check.Name, result.Reason)
		}
	}
	return failed
}

func inProcess(vice string) conformance.Target {
	running := &atomic.Bool{}
	return conformance.Serve(conformance.Target{}, func() pluginpb.PluginServer { return newCrooked(vice, running) })
}

func asProcess(t *testing.T, vice string) conformance.Target {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return conformance.Target{Command: []string{self}, Env: []string{viceVariable + "=" + vice, "GORACE=atexit_sleep_ms=0"}}
}

// everyCheck is for a whole run.
func everyCheck(conformance.Check) bool { return true }

func TestHonestPluginPasses(t *testing.T) {
	t.Run("in process", func(t *testing.T) {
		t.Parallel()
		if failed := failures(t, inProcess(""), everyCheck); len(failed) > 0 {
			t.Errorf("failed: %q", failed)
		}
	})
	t.Run("as a process", func(t *testing.T) {
		t.Parallel()
		if failed := failures(t, asProcess(t, ""), everyCheck); len(failed) > 0 {
			t.Errorf("failed: %q", failed)
		}
	})
	t.Run("by its schema", func(t *testing.T) {
		t.Parallel()
		if failed := failures(t, inProcess(honestBySchema), func(c conformance.Check) bool { return strings.HasPrefix(c.Name, "config") }); len(failed) > 0 {
			t.Errorf("failed: %q", failed)
		}
	})
	t.Run("without mTLS", func(t *testing.T) {
		t.Parallel()
		target := asProcess(t, "")
		target.DisableMTLS = true
		if failed := failures(t, target, func(c conformance.Check) bool { return c.Name == "outcomes" }); len(failed) > 0 {
			t.Errorf("failed: %q", failed)
		}
	})
}

// vices are those of the crooked plugin, each with the check that must find it.
func vices() map[string]string {
	all := map[string]string{
		"schema that is no JSON":               "schema",
		"schema that is not served":            "schema",
		"schema that the section does not fit": "config",
		"declare without an id":                "declare",
		"declare a name with a line in it":     "declare",
		"declare a group that is too long":     "declare",
		"outcomes, two of them":                "outcomes",
		"kinds that are unknown":               "kinds",
		"drain that leaves something":          "drain",
		"declare again":                        "requests",
		"publish to a name that is too long":   "requests",
		"attach to a group with a line in it":  "requests",
		"authenticate nobody":                  "requests",
		"announce too much":                    "requests",
		"keep too much":                        "requests",
	}
	for _, check := range conformance.Checks() {
		all[check.Name] = check.Name
	}
	return all
}

func TestEachViceFailsItsCheckAlone(t *testing.T) {
	for vice, check := range vices() {
		t.Run(vice, func(t *testing.T) {
			t.Parallel()
			i := slices.IndexFunc(conformance.Checks(), func(c conformance.Check) bool { return c.Name == check })
			target, which := inProcess(vice), everyCheck
			if conformance.TakesProcess(conformance.Checks()[i]) || vice == "drain that leaves something" {
				// Each life is a process: only what looks at those.
				target = asProcess(t, vice)
				which = func(c conformance.Check) bool { return conformance.TakesProcess(c) || c.Name == "drain" }
			}
			if check == "outcomes" || strings.HasPrefix(check, "exit-") {
				target.Patience = 15 * time.Second // it is waited for in vain
			}
			if failed := failures(t, target, which); !slices.Equal(failed, []string{check}) {
				t.Errorf("failed: %q, not %s alone", failed, check)
			}
		})
	}
}

func TestSkippedChecksSayThatTheRouteIsGone(t *testing.T) {
	t.Parallel()
	target := inProcess(honestlyGone)
	target.Config, target.Patience = crookedSection, 20*time.Second
	kit, err := conformance.New(target)
	if err != nil {
		t.Fatal(err)
	}
	defer kit.Close()
	results := map[string]conformance.Result{}
	for _, check := range conformance.Checks() {
		results[check.Name] = kit.Run(t.Context(), check)
	}
	if failed := kit.Failed(); len(failed) > 0 {
		t.Errorf("failed: %+v", failed)
	}
	if r := results["redelivery"]; r.Status != conformance.Skipped || !strings.Contains(r.Reason, "ahead") || !strings.Contains(r.Reason, "GONE") {
		t.Errorf("redelivery: %+v", r)
	}
}

func TestChecksHaveNamesAndSentences(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range conformance.Checks() {
		if c.Name == "" || seen[c.Name] || !strings.HasSuffix(c.Shows, ".") {
			t.Errorf("check %q: %q", c.Name, c.Shows)
		}
		seen[c.Name] = true
	}
}

func TestTargetNamesOnePlugin(t *testing.T) {
	if _, err := conformance.New(conformance.Target{}); err == nil {
		t.Error("a target without a plugin is taken")
	}
}
