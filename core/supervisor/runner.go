package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"

	"mpush/sdk/pluginpb"
)

const (
	maxHandshakeBytes = 4 << 10
	minCertBytes      = 50 // go-plugin takes a shorter sixth field for no certificate
)

var _ runner.Runner = (*processRunner)(nil)

// processRunner runs a plugin's process for go-plugin, and keeps from go-plugin
// what it cannot bear: it sees an empty stderr, of stdout the handshake line
// alone, and the process's end only once its own connecting is over.
type processRunner struct {
	spec Spec
	env  []string // what go-plugin wants in the environment
	dir  string   // for the socket, removed with the instance
	log  *slog.Logger

	redact func(string) string

	proc   *process // set by Start
	output *output  // set by begin, as are the streams
	stdout *lineWriter
	stderr *lineWriter
	synced [2]*lineWriter // what a Go plugin prints, by go-plugin's own way

	handshakeR *io.PipeReader
	handshakeW *io.PipeWriter

	network, address string // of the plugin's socket

	mu         sync.Mutex
	aborted    bool // by kill, maybe before there is a process
	shaken     bool // the handshake line was seen
	version    int  // of the protocol, in that line
	cert       bool // it has a certificate
	released   chan struct{}
	releaseNow func()
}

func newProcessRunner(spec Spec, log *slog.Logger, redact func(string) string) *processRunner {
	r := &processRunner{spec: spec, log: log, redact: redact, released: make(chan struct{})}
	r.handshakeR, r.handshakeW = io.Pipe()
	r.releaseNow = sync.OnceFunc(func() { close(r.released) })
	return r
}

// Start verifies the executable and starts the process.
func (r *processRunner) Start(context.Context) error {
	program, err := openExecutable(r.spec.Command, r.spec.SHA256)
	if err != nil {
		return err
	}
	defer program.close()
	path, err := program.command(r.dir)
	if err != nil {
		return err
	}
	cmd := &exec.Cmd{
		Path: path,
		Args: append([]string{program.name}, r.spec.Args...),
		Env:  append(append([]string{}, r.spec.Env...), r.env...),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.aborted {
		return errStopping
	}
	r.proc, err = startProcess(cmd, r)
	return err
}

// begin is where the process's output goes.
func (r *processRunner) begin(pid int) (stdout, stderr io.Writer) {
	r.output = newOutput(r.log.With("pid", pid), r.redact)
	r.stderr = r.output.stream("stderr")
	r.stdout = &lineWriter{limit: maxLineBytes, emit: r.filterStdout}
	r.synced = [2]*lineWriter{r.output.stream("stdout"), r.output.stream("stderr")}
	return r.stdout, r.stderr
}

// end flushes what is left of the output and tells go-plugin that there is no
// more.
func (r *processRunner) end() {
	for _, w := range []*lineWriter{r.stdout, r.stderr, r.synced[0], r.synced[1]} {
		w.finish()
	}
	r.output.finish()
	_ = r.handshakeW.Close()
}

// filterStdout passes the handshake to go-plugin and logs everything else.
func (r *processRunner) filterStdout(line []byte, cut int) {
	if r.isShaken() || cut > 0 || len(line) > maxHandshakeBytes || !isHandshake(line) {
		r.output.line("stdout", line, cut)
		return
	}
	fields := strings.Split(string(line), "|")
	r.mu.Lock()
	r.shaken = true
	r.version, _ = strconv.Atoi(fields[1])
	r.cert = len(fields) > 5 && len(fields[5]) > minCertBytes
	r.mu.Unlock()
	_, _ = r.handshakeW.Write(append(bytes.Clone(line), '\n'))
	_ = r.handshakeW.Close()
}

func (r *processRunner) isShaken() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.shaken
}

// isHandshake tells whether a line is "version|version|network|address…".
func isHandshake(line []byte) bool {
	fields := strings.Split(string(line), "|")
	if len(fields) < 4 {
		return false
	}
	for _, version := range fields[:2] {
		if _, err := strconv.Atoi(version); err != nil {
			return false
		}
	}
	return true
}

// Stdout is the handshake line and its end.
func (r *processRunner) Stdout() io.ReadCloser { return r.handshakeR }

// Stderr is empty.
func (r *processRunner) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name is the command.
func (r *processRunner) Name() string { return r.spec.Command }

// Diagnose has nothing to add: reason does.
func (r *processRunner) Diagnose(context.Context) string { return "" }

// ID is the process's number, "" if there is none.
func (r *processRunner) ID() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.proc == nil {
		return ""
	}
	return strconv.Itoa(r.proc.pid)
}

// Wait waits for the process and for release: go-plugin leaks a connection
// that it was just making when it sees the process end.
func (r *processRunner) Wait(context.Context) error {
	<-r.released
	<-r.proc.done
	return nil
}

// release lets Wait return.
func (r *processRunner) release() { r.releaseNow() }

// Kill kills the process.
func (r *processRunner) Kill(context.Context) error {
	r.kill()
	return nil
}

// kill kills the process, or prevents its start.
func (r *processRunner) kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.aborted = true
	if r.proc != nil {
		r.proc.kill()
	}
}

// PluginToHost checks the address that the plugin gave: it must be in the
// plugin's own directory or, for runtimes without such sockets, on loopback.
func (r *processRunner) PluginToHost(network, address string) (string, string, error) {
	switch network {
	case "unix":
		if rel, err := filepath.Rel(r.dir, address); err != nil || !filepath.IsLocal(rel) {
			return "", "", fmt.Errorf("the socket %q is not in the directory that %s names", address, goplugin.EnvUnixSocketDir)
		}
	case "tcp":
		if host, err := netip.ParseAddrPort(address); err != nil || !host.Addr().IsLoopback() {
			return "", "", fmt.Errorf("the address %q is not a loopback IP address with a port", address)
		}
	default:
		return "", "", fmt.Errorf("the network %q is neither unix nor tcp", network)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.spec.DisableMTLS && !r.cert {
		return "", "", errors.New("the plugin cannot do mTLS: its entry needs \"mtls\": false (mpush plugin describe and test: --mtls=false)")
	}
	r.network, r.address = network, address
	return network, address, nil
}

// HostToPlugin changes nothing.
func (r *processRunner) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// dial connects to the plugin. The connection ends with the process, whoever
// else may hold its other end.
func (r *processRunner) dial(ctx context.Context, _ string) (net.Conn, error) {
	if err := r.proc.dead.Err(); err != nil {
		return nil, errors.New("the plugin's process has ended")
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, r.network, r.address)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(r.proc.dead, func() { _ = conn.Close() })
	return conn, nil
}

// reason says why starting failed, better than go-plugin can: the end of the
// process, or of the time, if it was that.
func (r *processRunner) reason(ctx context.Context, err error) error {
	select {
	case <-r.proc.done:
		if !r.proc.wasKilled() {
			return fmt.Errorf("no connection: %w", r.exitError())
		}
	default:
	}
	switch {
	case ctx.Err() == nil:
		return fmt.Errorf("handshake: %w", err)
	case !r.isShaken():
		return errors.New("no handshake in time: is it a plugin of mpush?")
	default:
		return errors.New("no connection in time after the handshake")
	}
}

// refuse says that the handshake named a version of the protocol that is not
// served, if it was that.
func (r *processRunner) refuse(versions pluginpb.Versions) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.shaken {
		return nil
	}
	version := uint32(min(max(r.version, 0), math.MaxUint32))
	if err := versions.Refuse(version); err != nil {
		return fmt.Errorf("%w: %w", errProtocol, err)
	}
	return nil
}

// exitError says how the process, which is done, ended.
func (r *processRunner) exitError() error {
	if tail := r.output.lastLine(); tail != "" {
		return fmt.Errorf("process ended (%v), its last words: %s", r.proc.state, tail)
	}
	return fmt.Errorf("process ended (%v)", r.proc.state)
}
