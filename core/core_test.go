package core

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mpush/core/config"
	"mpush/core/supervisor"
	channel "mpush/plugins/http"
	"mpush/sdk"
	"mpush/sdk/pluginpb"
)

// The test binary is also the bundled channels' process, as the program is.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "channel" {
		switch os.Args[2] {
		case "in":
			sdk.Serve(channel.New())
		case "picky":
			sdk.Serve(&picky{Size: 2})
		case "broken":
			sdk.Serve(&broken{})
		case "door":
			sdk.Serve(door{})
		case "stuck":
			sdk.Serve(stuck{})
		default:
			sdk.Serve(taker{})
		}
	}
	goleak.VerifyTestMain(m)
}

// taker is an egress with one configured receiver, which acks everything.
type taker struct{}

func (taker) Describe() sdk.Manifest {
	return sdk.Manifest{Name: "taker", Version: "1", Commands: []string{"TAKE"}}
}

func (taker) Declare(context.Context, sdk.Host) ([]sdk.Route, error) {
	return []sdk.Route{{Receiver: "box", Group: "boxes", Policy: sdk.Policy{Exclusive: true, Acks: true}}}, nil
}

func (taker) Deliver(context.Context, *sdk.Delivery) error { return nil }

// door lets in who has a token, of three.
type door struct{}

func (door) Describe() sdk.Manifest { return sdk.Manifest{Name: "door", Version: "1"} }

func (door) Start(ctx context.Context, host sdk.Host) ([]string, error) {
	for _, name := range []string{"ann", "bob", "cid"} {
		_, err := host.Attach(ctx, sdk.Attach{
			Credentials: sdk.Credentials{Token: tokenOf(name)}, Name: name, Policy: sdk.Policy{Exclusive: true, Acks: true},
		})
		if err == nil {
			fmt.Fprintf(os.Stderr, "%s is in\n", name)
		}
	}
	return nil, nil
}

func (door) Dispatch(*sdk.Delivery) {}

func (door) Evict(name string, _ uint64, why sdk.Eviction) {
	fmt.Fprintf(os.Stderr, "%s is out: %v\n", name, why.Cause)
}

func tokenOf(name string) string { return "the token of " + name }

// stuck never gets ready.
type stuck struct{}

func (stuck) Describe() sdk.Manifest { return sdk.Manifest{Name: "stuck", Version: "1"} }

func (stuck) Start(ctx context.Context, _ sdk.Host) ([]string, error) {
	fmt.Fprintln(os.Stderr, "it hangs")
	<-ctx.Done()
	return nil, ctx.Err()
}

// journal is a log that a test reads while it is written.
type journal struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{} // closed when more is written; nil if nobody waits
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.grown != nil {
		close(j.grown)
		j.grown = nil
	}
	return j.text.Write(p)
}

// await waits for a text.
func (j *journal) await(t *testing.T, text string) {
	t.Helper()
	timeout := time.After(time.Minute)
	for {
		j.mu.Lock()
		if strings.Contains(j.text.String(), text) {
			j.mu.Unlock()
			return
		}
		if j.grown == nil {
			j.grown = make(chan struct{})
		}
		grown := j.grown
		j.mu.Unlock()
		select {
		case <-grown:
		case <-timeout:
			t.Fatalf("no %q in\n%s", text, j)
		}
	}
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// options is a core with an ingress and an egress, configured by the text.
func options(t *testing.T, text string, log io.Writer) Options {
	t.Helper()
	dir, err := os.MkdirTemp("", "core-") // short: sockets have their place in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cfg := load(t, filepath.Join(dir, "config.json"), text)
	o := Options{
		Config: cfg, DataDir: filepath.Join(dir, "data"), Environ: os.Environ(),
		Log: slog.New(slog.NewTextHandler(log, nil)), Bundled: map[string]Bundled{},
	}
	for _, c := range cfg.Channels {
		if c.Bundled {
			o.Bundled[c.Name] = Bundled{
				Command: os.Args[0], Args: []string{"channel", "in"},
				Env:    []string{"GORACE=atexit_sleep_ms=0"},
				Rights: []pluginpb.Right{sdk.AcceptWithoutToken},
			}
		}
	}
	return o
}

// load writes and loads a configuration in which bundled channels are off that
// have no section: this package runs them all as one and the same.
func load(t *testing.T, path, text string) *config.Config {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Options{Path: path, PathExplicit: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range cfg.Channels {
		cfg.Channels[i].Enabled = c.Enabled && (!c.Bundled || c.Section != nil)
	}
	return cfg
}

// section is the name of a bundled channel, which this package does not know.
func section(t *testing.T, i int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "empty.json")
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Options{Path: path, PathExplicit: true})
	if err != nil {
		t.Fatal(err)
	}
	return cfg.Channels[i].Name
}

// run runs a core until the test ends and returns its channels.
func run(t *testing.T, o Options) (map[string]supervisor.Status, func() error) {
	t.Helper()
	c, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	up, ended := make(chan map[string]supervisor.Status, 1), make(chan error, 1)
	go func() {
		err := c.Run(ctx, func() {}, func(all []supervisor.Status) {
			byName := make(map[string]supervisor.Status)
			for _, s := range all {
				byName[s.Channel] = s
			}
			up <- byName
		})
		if closed := c.Close(); err == nil {
			err = closed
		}
		ended <- err
	}()
	stop := sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { stop() })
	select {
	case channels := <-up:
		return channels, stop
	case err := <-ended:
		ended <- err
		t.Fatalf("the core did not start: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("the core did not start")
	}
	return nil, nil
}

func TestCoreRunsItsChannelsAndDeliversBetweenThem(t *testing.T) {
	in, off := section(t, 0), section(t, 1)
	log := &journal{}
	o := options(t, fmt.Sprintf(`{
		"token": "long-and-random-enough", %q: {"host": "127.0.0.1", "port": 0}, %q: {"enabled": false},
		"plugins": {"taker": {"path": %q, "args": ["channel", "out"], "unpinned": true}}
	}`, in, off, os.Args[0]), log)
	channels, stop := run(t, o)
	if len(channels) != 2 || channels["taker"].State != supervisor.Running {
		t.Fatalf("channels %+v", channels)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	reply, err := client.Get("http://" + channels[in].Endpoints[0] + "/boxes.group?text=secret-text")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(reply.Body)
	reply.Body.Close()
	if !strings.Contains(string(body), `"box":"ok"`) {
		t.Errorf("answer %s", body)
	}

	second := o
	if _, err := New(t.Context(), second); err == nil || !strings.Contains(err.Error(), "in use by another mpush") {
		t.Errorf("a second core on the data directory: %v", err)
	}
	if err := stop(); err != nil {
		t.Errorf("ended with %v", err)
	}
	if strings.Contains(log.String(), "secret-text") || strings.Contains(log.String(), "long-and-random") {
		t.Errorf("the log tells secrets:\n%s", log)
	}
}

func TestWrongSectionOfABundledChannelEndsTheStartWithItsPlace(t *testing.T) {
	in, off := section(t, 0), section(t, 1)
	o := options(t, fmt.Sprintf("{\n%q: {\n  \"prot\": 1}, %q: {\"enabled\": false}}", in, off), io.Discard)
	c, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Run(t.Context(), func() { t.Error("it serves") }, func([]supervisor.Status) { t.Error("it has started") })
	if closed := c.Close(); closed != nil {
		t.Error(closed)
	}
	if err == nil || !strings.Contains(err.Error(), "config.json:3:3") || !strings.Contains(err.Error(), in+".prot") {
		t.Errorf("ended with %v", err)
	}
	if err := Check(t.Context(), o); err == nil || !strings.Contains(err.Error(), in+".prot") {
		t.Errorf("check: %v", err)
	}
}

func TestTakenPortOfABundledChannelEndsTheStart(t *testing.T) {
	in, off := section(t, 0), section(t, 1)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	o := options(t, fmt.Sprintf(`{%q: {"host": "127.0.0.1", "port": %d}, %q: {"enabled": false}}`, in, taken.Addr().(*net.TCPAddr).Port, off), io.Discard)
	if err := Check(t.Context(), o); err != nil {
		t.Errorf("check, which opens nothing: %v", err)
	}
	c, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Run(t.Context(), func() {}, func([]supervisor.Status) {}); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("ended with %v", err)
	}
}

func TestThirdPartyWithoutItsRightIsDownAndTheRestRuns(t *testing.T) {
	in, off := section(t, 0), section(t, 1)
	o := options(t, fmt.Sprintf(`{
		%q: {"host": "127.0.0.1", "port": 0}, %q: {"enabled": false},
		"plugins": {"other": {"path": %q, "args": ["channel", "in"], "unpinned": true}}
	}`, in, off, os.Args[0]), io.Discard)
	channels, _ := run(t, o)
	if s := channels["other"]; s.State != supervisor.Misconfigured || !strings.Contains(s.LastError, "accept-without-token") {
		t.Errorf("it is %+v", s)
	}
	if channels[in].State != supervisor.Running {
		t.Errorf("the other is %+v", channels[in])
	}
}

func TestDataDirectoryThatCanNotBeMadeIsNamed(t *testing.T) {
	o := options(t, `{}`, io.Discard)
	o.DataDir = filepath.Join(o.Config.Path, "data") // below a file
	if _, err := New(t.Context(), o); err == nil || !strings.Contains(err.Error(), "data directory") {
		t.Errorf("opened: %v", err)
	}
}
