package sdk

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"mpush/sdk/pluginpb"
)

const (
	maxReceiveBytes = 8 << 20
	windowBytes     = 1 << 20
	// politeness is how long a plugin that was told to stop waits for its
	// core's goodbye after the stream has ended.
	politeness = 2 * time.Second
)

// Serve makes the process a channel plugin. It never returns: the process ends
// when its core has stopped it, and at once when the core is gone, which shows
// by the end of stdin or of the stream. main calls it first and does nothing
// else.
//
// Logs go through log/slog, whose default becomes JSON lines on stderr, where
// the core reads them. So does package log, but for what net/http prints there
// of connections: it quotes what came on them. Whatever is printed on stdout goes there too. Interrupts
// and SIGTERM are ignored: the core says when to stop.
//
// Run by hand with MPUSH_PLUGIN_DEBUG=PATH, under a debugger perhaps, it waits
// at a Unix socket of that path for a core whose configuration says "reattach".
//
// A process that no core has started, or a plugin whose interfaces contradict
// one another, says so on stderr and ends with code 1.
func Serve(p Plugin) {
	if path := os.Getenv(pluginpb.DebugVariable); path != "" && os.Getenv(pluginpb.CookieKey) == "" {
		log.SetOutput(discreet{log.Writer()})
		if err := serveDebug(p, path); err != nil {
			fmt.Fprintf(os.Stderr, "%s=%s: %v\n", pluginpb.DebugVariable, path, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Getenv(pluginpb.CookieKey) != pluginpb.CookieValue {
		m := p.Describe()
		fmt.Fprintf(os.Stderr, "this is an mpush channel plugin (%s %s); it is not run by hand: name it in the \"plugins\" section of mpush's config.json\n", m.Name, m.Version)
		os.Exit(1)
	}
	stdout, stderr := os.Stdout, os.Stderr
	slog.SetDefault(slog.New(slog.NewJSONHandler(stderr, nil)))
	log.SetOutput(discreet{log.Writer()}) // slog has taken it over
	if err := divertStdout(); err != nil {
		slog.Error("stdout can not be diverted", "err", err)
		os.Exit(1)
	}
	if err := contradiction(p); err != nil {
		slog.Error("no such plugin can be", "err", err)
		os.Exit(1)
	}
	handshake := os.Stdout
	ignoreSignals()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}

	s := newServer(p)
	var serving atomic.Pointer[grpc.Server]
	orphaned := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(orphaned)
		s.coreGone()
	}()
	go func() {
		<-s.ended
		if s.wasAsked() {
			select {
			case <-orphaned:
			case <-time.After(politeness):
			}
		}
		g := serving.Load()
		if g == nil {
			os.Exit(0)
		}
		g.Stop() // removes the socket, and go-plugin comes back below
	}()
	serveGoPlugin(s, stderr, &serving)
	// Collected as garbage they would be closed, and their descriptors reused
	// under whoever writes to 1 and 2.
	runtime.KeepAlive([]*os.File{stdout, stderr, handshake})
	if serving.Load() == nil {
		os.Exit(1) // it has logged why it could not begin
	}
	os.Exit(0)
}

// discreet passes on what package log prints, but for net/http's own remarks:
// they quote what the other side of a connection has sent, which may be a
// message come back. Of these it names the origin only. Who prints decides, and
// not the words, which may be others with the next version of Go.
type discreet struct{ io.Writer }

func (d discreet) Write(line []byte) (int, error) {
	origin := printer()
	if !strings.HasPrefix(origin, "net/http") && !strings.Contains(origin, "golang.org/x/net/") || origin == serverPrinter {
		return d.Writer.Write(line)
	}
	if _, err := fmt.Fprintf(d.Writer, "%s: left out, it may quote the other side\n", origin); err != nil {
		return 0, err
	}
	return len(line), nil
}

// serverPrinter prints what went wrong in a handler of the plugin's own, such as
// a panic, and quotes no request.
const serverPrinter = "net/http.(*Server).logf"

// printer is the function that has called package log.
func printer() string {
	var callers [16]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers[:])]) // who has called Write, and on
	for {
		frame, more := frames.Next()
		if !more || !strings.HasPrefix(frame.Function, "log.") {
			return frame.Function
		}
	}
}

// ignoreSignals lets the signals of a terminal or a service manager pass. They
// are caught rather than ignored, since processes that the plugin starts would
// inherit that. SIGPIPE comes when the core is gone and its end of stderr with
// it: stopping must still go its way.
func ignoreSignals() {
	signal.Notify(make(chan os.Signal, 1), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
}

// serveGoPlugin does the handshake and serves until the core shuts it down or
// the gRPC server, which it leaves in serving, is stopped.
func serveGoPlugin(s *server, stderr *os.File, serving *atomic.Pointer[grpc.Server]) {
	var restore sync.Once
	spoken := make(map[int]plugin.PluginSet) // go-plugin takes the newest that the core serves
	for version := s.speaks.Oldest; version <= s.speaks.Newest; version++ {
		spoken[int(version)] = plugin.PluginSet{pluginpb.PluginName: &goPlugin{server: s}}
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			MagicCookieKey:   pluginpb.CookieKey,
			MagicCookieValue: pluginpb.CookieValue,
		},
		VersionedPlugins: spoken,
		Logger: hclog.New(&hclog.LoggerOptions{
			Output:      slog.NewLogLogger(slog.Default().Handler(), slog.LevelError).Writer(),
			Level:       hclog.Error,
			DisableTime: true,
		}),
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			g := grpc.NewServer(append(append(options, serverOptions()...),
				grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
					// go-plugin has put pipes in their place after the
					// handshake, which block when nobody asks for them.
					restore.Do(func() { os.Stdout, os.Stderr = stderr, stderr })
					return handler(ctx, req)
				}),
			)...)
			serving.Store(g)
			return g
		},
	})
}

// serverOptions suit the traffic of one core.
func serverOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxReceiveBytes),
		grpc.InitialWindowSize(windowBytes),
		grpc.InitialConnWindowSize(windowBytes),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
	}
}

// goPlugin is the server as go-plugin wants it.
type goPlugin struct {
	plugin.NetRPCUnsupportedPlugin
	server *server
}

var _ plugin.GRPCPlugin = (*goPlugin)(nil)

func (g *goPlugin) GRPCServer(_ *plugin.GRPCBroker, server *grpc.Server) error {
	pluginpb.RegisterPluginServer(server, g.server)
	return nil
}

func (g *goPlugin) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("a plugin is no client")
}
