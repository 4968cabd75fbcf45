package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mpush/sdk/pluginpb"
)

const (
	// handshakeLimit is what a core grants from a process's start to a
	// connection.
	handshakeLimit = 10 * time.Second
	// maxReceiveBytes and windowBytes are the core's.
	maxReceiveBytes = 5 << 20
	windowBytes     = 1 << 20
	// minCertBytes: go-plugin takes a shorter sixth field for no certificate.
	minCertBytes = 50
)

// passedOn are the variables that every plugin may see of the environment.
func passedOn() []string {
	return []string{
		"PATH", "HOME", "TMPDIR", "TZ", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR",
		"GODEBUG", "GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GOTRACEBACK", "GOCOVERDIR", "GORACE",
	}
}

// processRunner runs a plugin's process for go-plugin: in a group of its own,
// with a pipe as stdin. go-plugin sees the handshake line and nothing else of
// what the process writes.
type processRunner struct {
	target Target
	env    []string // what go-plugin wants in the environment
	dir    string   // for the socket
	words  *words

	proc       *process
	handshakeR *io.PipeReader
	handshakeW *io.PipeWriter
	released   chan struct{}

	network, address string // of the plugin's socket

	mu        sync.Mutex
	aborted   bool
	line      []byte // of stdout, not ended yet
	handshake string // the line, once it came
	before    []string
	conns     []net.Conn
}

var _ runner.Runner = (*processRunner)(nil)

// launch starts the executable and connects to it. What it says of a failure
// tells what the core would miss.
func launch(ctx context.Context, target Target) (instance, error) {
	dir, err := os.MkdirTemp("", "mpush-kit-")
	if err != nil {
		return nil, err
	}
	r := &processRunner{target: target, words: &words{}, released: make(chan struct{})}
	r.handshakeR, r.handshakeW = io.Pipe()
	ctx, cancel := context.WithTimeout(ctx, max(handshakeLimit, target.Patience))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = r.Kill(ctx) })
	defer stop()
	i := &processInstance{run: r, dir: dir, client: goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig: goplugin.HandshakeConfig{
			ProtocolVersion:  pluginpb.ProtocolVersion,
			MagicCookieKey:   pluginpb.CookieKey,
			MagicCookieValue: pluginpb.CookieValue,
		},
		Plugins: goplugin.PluginSet{pluginpb.PluginName: clientPlugin{}},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, dir string) (runner.Runner, error) {
			r.env, r.dir = cmd.Env, dir
			return r, nil
		},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         !target.DisableMTLS,
		SkipHostEnv:      true,
		StartTimeout:     time.Hour, // ctx comes first
		Logger:           hclog.NewNullLogger(),
		SyncStdout:       r.words,
		SyncStderr:       r.words,
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: dir},
		GRPCDialOptions: []grpc.DialOption{
			grpc.WithContextDialer(r.dial),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReceiveBytes)),
			grpc.WithInitialWindowSize(windowBytes),
			grpc.WithInitialConnWindowSize(windowBytes),
			grpc.WithChainStreamInterceptor(refuseBroker),
		},
	})}
	err = i.connect()
	close(r.released)
	if err == nil && ctx.Err() == nil {
		return i, nil
	}
	reason := r.reason(ctx, err)
	i.close()
	return nil, &startError{reason: reason, output: r.words.tail()}
}

// startError is why a plugin could not be started, with what it wrote.
type startError struct {
	reason error
	output string
}

func (e *startError) Error() string { return e.reason.Error() }

// reason says what went wrong, better than go-plugin can.
func (r *processRunner) reason(ctx context.Context, err error) error {
	r.mu.Lock()
	shaken := r.handshake != ""
	r.mu.Unlock()
	if r.proc == nil {
		return fmt.Errorf("it cannot be started: %w", err)
	}
	if shaken && !r.target.DisableMTLS && !hasCertificate(r.handshake) {
		return errors.New(`the handshake line has no certificate: serve with mutual TLS or, for a runtime that cannot, switch it off here (--mtls=false) and in the entry ("mtls": false)`)
	}
	select {
	case <-r.proc.done:
	case <-ctx.Done():
	case <-time.After(time.Second): // it may be about to end, and say why
	}
	select {
	case <-r.proc.done:
		if ctx.Err() == nil {
			return fmt.Errorf("the process ended before it was connected to (%v): with %s=%s in its environment it must serve until stdin ends", r.proc.state, pluginpb.CookieKey, pluginpb.CookieValue)
		}
	default:
	}
	switch {
	case !shaken && ctx.Err() != nil:
		return errors.New(`no handshake line on stdout in time: print "1|1|unix|PATH|grpc|CERTIFICATE" and a line feed as soon as the socket is open, and flush`)
	case ctx.Err() != nil:
		return errors.New("no connection in time after the handshake: serve gRPC (the service mpush.plugin.v1.Plugin and grpc.health.v1.Health for \"plugin\") at the address that the handshake names")
	default:
		return fmt.Errorf("the handshake line %q does not do: %w", r.handshake, err)
	}
}

// Start starts the process.
func (r *processRunner) Start(context.Context) error {
	path := r.target.Command[0]
	if !strings.ContainsRune(path, filepath.Separator) {
		found, err := exec.LookPath(path)
		if err != nil {
			return err
		}
		path = found
	}
	// It is run in Dir, and found from here.
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	cmd := &exec.Cmd{Path: path, Args: append([]string{path}, r.target.Command[1:]...), Dir: r.target.Dir, Env: []string{}}
	for _, name := range passedOn() {
		if value, set := os.LookupEnv(name); set {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.Env = append(append(cmd.Env, r.target.Env...), r.env...)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.aborted {
		return errors.New("out of time")
	}
	r.proc, err = startProcess(cmd, r.takeStdout, func(p []byte) { _, _ = r.words.Write(p) })
	return err
}

// takeStdout finds the handshake in what the process writes; the rest is
// output. Called by one goroutine.
func (r *processRunner) takeStdout(p []byte) {
	if len(p) == 0 {
		_ = r.handshakeW.Close()
		return
	}
	r.mu.Lock()
	if r.handshake != "" {
		r.mu.Unlock()
		_, _ = r.words.Write(p)
		return
	}
	r.line = append(r.line, p...)
	for {
		end := strings.IndexByte(string(r.line), '\n')
		if end < 0 {
			break
		}
		line := strings.TrimSuffix(string(r.line[:end]), "\r")
		r.line = r.line[end+1:]
		if !isHandshake(line) {
			r.before = append(r.before, line)
			_, _ = r.words.Write([]byte(line + "\n"))
			continue
		}
		r.handshake = line
		rest := r.line
		r.mu.Unlock()
		_, _ = r.words.Write(rest)
		_, _ = r.handshakeW.Write([]byte(line + "\n"))
		_ = r.handshakeW.Close()
		return
	}
	r.mu.Unlock()
}

// isHandshake tells whether a line is "version|version|network|address…".
func isHandshake(line string) bool {
	fields := strings.Split(line, "|")
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

// hasCertificate tells whether a handshake line ends with one.
func hasCertificate(line string) bool {
	fields := strings.Split(line, "|")
	return len(fields) > 5 && strings.TrimSpace(fields[5]) != ""
}

// Stdout is the handshake line and its end.
func (r *processRunner) Stdout() io.ReadCloser { return r.handshakeR }

// Stderr is empty.
func (r *processRunner) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name is the command.
func (r *processRunner) Name() string { return r.target.Command[0] }

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

// Wait waits for the process, and for go-plugin to have connected: it leaks a
// connection that it is making when it sees the process end.
func (r *processRunner) Wait(context.Context) error {
	<-r.released
	<-r.proc.done
	return nil
}

// Kill kills the process, or prevents its start.
func (r *processRunner) Kill(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.aborted = true
	if r.proc != nil {
		r.proc.kill()
	}
	return nil
}

// PluginToHost checks the address that the plugin gave, as the core does.
func (r *processRunner) PluginToHost(network, address string) (string, string, error) {
	switch network {
	case "unix":
		if rel, err := filepath.Rel(r.dir, address); err != nil || !filepath.IsLocal(rel) {
			return "", "", fmt.Errorf("the socket %q is not in the directory that %s names: make it there", address, goplugin.EnvUnixSocketDir)
		}
	case "tcp":
		if host, err := netip.ParseAddrPort(address); err != nil || !host.Addr().IsLoopback() {
			return "", "", fmt.Errorf("the address %q is not a loopback IP address with a port, such as 127.0.0.1:4321", address)
		}
	default:
		return "", "", fmt.Errorf("the network %q is neither unix nor tcp", network)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if fields := strings.Split(r.handshake, "|"); !r.target.DisableMTLS && (len(fields) < 6 || len(fields[5]) < minCertBytes) {
		return "", "", errors.New("its sixth field is no certificate: make one for mTLS and print it there, or have mTLS switched off (--mtls=false here, \"mtls\": false in the operator's configuration)")
	}
	r.network, r.address = network, address
	return network, address, nil
}

// HostToPlugin changes nothing.
func (r *processRunner) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// dial connects to the plugin, as long as the process lives.
func (r *processRunner) dial(ctx context.Context, _ string) (net.Conn, error) {
	if r.proc.dead.Err() != nil {
		return nil, errors.New("the plugin's process has ended")
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, r.network, r.address)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(r.proc.dead, func() { _ = conn.Close() })
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.aborted {
		_ = conn.Close()
	}
	r.conns = append(r.conns, conn)
	return conn, nil
}

// cut closes every connection and pipe at once and makes no new ones.
func (r *processRunner) cut() {
	r.proc.cutPipes()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.aborted = true
	for _, conn := range r.conns {
		_ = conn.Close()
	}
}

// clientPlugin makes the protocol's client.
type clientPlugin struct {
	goplugin.NetRPCUnsupportedPlugin
}

var _ goplugin.GRPCPlugin = clientPlugin{}

func (clientPlugin) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return pluginpb.NewPluginClient(conn), nil
}

func (clientPlugin) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error {
	return errors.New("the kit serves no plugin")
}

// refuseBroker keeps go-plugin's broker closed, as the core does.
func refuseBroker(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if method == "/plugin.GRPCBroker/StartStream" {
		return nil, status.Error(codes.Unimplemented, "no broker is used")
	}
	return streamer(ctx, desc, cc, method, opts...)
}
