package supervisor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"mpush/sdk/pluginpb"
)

// What the plugin of these tests does wrong, or is to do besides.
const (
	viceKey = "MPUSH_TEST_VICE"
	floodMB = "MPUSH_TEST_FLOOD_MB"

	panicLine      = "panic-line"      // the line that go-plugin's host cannot bear
	longLine       = "long-line"       // 10 MB without an end of line
	flood          = "flood"           // floodMB on stderr and on stdout before Start returns
	chatter        = "chatter"         // stdout before the handshake
	prints         = "prints"          // os.Stdout and os.Stderr within Serve
	records        = "records"         // lines of log/slog
	noHandshake    = "no-handshake"    // lives on, says nothing
	deadSocket     = "dead-socket"     // a handshake, but nobody accepts
	foreignSocket  = "foreign-socket"  // a socket outside of its directory
	plain          = "plain"           // no certificate
	exits          = "exits"           // at once
	exitsConfigure = "exits-configure" // in Configure
	exitsRunning   = "exits-running"   // in the first Health
	hangsDescribe  = "hangs-describe"
	hangsConfigure = "hangs-configure"
	hangsDeclare   = "hangs-declare"
	hangsStart     = "hangs-start"
	hangsHealth    = "hangs-health"
	hangsStop      = "hangs-stop"
	slowStop       = "slow-stop" // answers Stop when half its time is over
	cannotListen   = "cannot-listen"
	misconfigured  = "misconfigured"
	grandchild     = "grandchild"      // forks a child that holds its pipes, exits
	grandchildAway = "grandchild-away" // the same, in a session of its own
	endsByStdin    = "ends-by-stdin"   // the kernel does not kill it with the core
	ignoresStdin   = "ignores-stdin"   // nothing but a kill ends it
	newerProtocol  = "newer-protocol"
	hoards         = "hoards" // 300 MB once it runs
	brood          = "brood"  // forks 40 children that sleep
)

// playPlugin is the main of a plugin.
func playPlugin(vice string) {
	stdout, stderr := os.Stdout, os.Stderr // Serve replaces the variables
	if vice == endsByStdin {
		_ = unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0)
	}
	if vice != ignoresStdin && vice != hangsStop {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		}()
	}
	switch vice {
	case panicLine:
		fmt.Fprintln(stderr, `{"@message":1}`)
	case longLine:
		fmt.Fprintln(stderr, strings.Repeat("x", 10<<20))
	case chatter:
		fmt.Fprintln(stdout, "Welcome to the plugin")
		fmt.Fprintln(stdout, "a|b|c|d|e")
	case records:
		log := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
		log.Error("a record", "channel", "forged", "count", 12345678901234567, slog.Group("group", "key", "value"))
	case noHandshake:
		select {}
	case deadSocket:
		fmt.Fprintf(stdout, "1|1|unix|%s/nobody|grpc\n", os.Getenv(goplugin.EnvUnixSocketDir))
		select {}
	case foreignSocket:
		fmt.Fprintf(stdout, "1|1|unix|/tmp/elsewhere|grpc\n")
		select {}
	case exits:
		fmt.Fprintln(stderr, "the reason for it")
		syscall.Exit(3) // unlike os.Exit it does nothing besides
	case grandchild, grandchildAway:
		child := exec.Command("/bin/sleep", "1000")
		child.Stdout, child.Stderr = stdout, stderr
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: vice == grandchildAway}
		if err := child.Start(); err != nil {
			panic(err)
		}
		fmt.Fprintf(stderr, "grandchild %d\n", child.Process.Pid)
		os.Exit(4)
	}
	if vice == plain {
		_ = os.Unsetenv("PLUGIN_CLIENT_CERT")
	}
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: goplugin.HandshakeConfig{
			ProtocolVersion:  pluginpb.ProtocolVersion,
			MagicCookieKey:   pluginpb.CookieKey,
			MagicCookieValue: pluginpb.CookieValue,
		},
		Plugins:    goplugin.PluginSet{pluginpb.PluginName: serverPlugin{vice: vice, stdout: stdout, stderr: stderr}},
		GRPCServer: goplugin.DefaultGRPCServer,
		Logger:     hclog.NewNullLogger(),
	})
	if vice == ignoresStdin {
		select {}
	}
}

type serverPlugin struct {
	goplugin.NetRPCUnsupportedPlugin
	vice           string
	stdout, stderr *os.File
}

func (p serverPlugin) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	pluginpb.RegisterPluginServer(s, &server{
		serverPlugin: p, started: make(chan struct{}), stopped: make(chan struct{}), left: make(chan struct{}),
	})
	return nil
}

func (serverPlugin) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	panic("a plugin is no client")
}

// server is a channel without receivers. On its stream it sends Declare, an
// announcement once Start was called and one more when it has drained.
type server struct {
	pluginpb.UnimplementedPluginServer
	serverPlugin
	started, stopped, left chan struct{}
	hoard                  [][]byte
}

// hang blocks for good in the call that the vice names.
func (s *server) hang(vice string) {
	if s.vice == vice {
		select {}
	}
}

func (s *server) Describe(context.Context, *pluginpb.DescribeRequest) (*pluginpb.DescribeResponse, error) {
	s.hang(hangsDescribe)
	response := &pluginpb.DescribeResponse{Protocol: 1, Name: "test", Version: "v1", Description: strings.Join(os.Environ(), "\n")}
	if s.vice == newerProtocol {
		response.Protocol = 2
	}
	return response, nil
}

func (s *server) Configure(_ context.Context, _ *pluginpb.ConfigureRequest) (*pluginpb.ConfigureResponse, error) {
	s.hang(hangsConfigure)
	switch s.vice {
	case exitsConfigure:
		fmt.Fprintln(s.stderr, "the config killed me")
		syscall.Exit(5)
	case misconfigured:
		return &pluginpb.ConfigureResponse{Diagnostics: []*pluginpb.Diagnostic{
			{Severity: pluginpb.Severity_SEVERITY_WARNING, Path: "a", Message: "odd"},
			{Severity: pluginpb.Severity_SEVERITY_ERROR, Path: "port", Message: "got a text, want a number"},
		}}, nil
	case prints:
		fmt.Fprintln(os.Stdout, "printed to stdout")
		fmt.Fprintln(os.Stderr, "printed to stderr")
	}
	return &pluginpb.ConfigureResponse{}, nil
}

func (s *server) Exchange(stream grpc.BidiStreamingServer[pluginpb.CoreFrame, pluginpb.PluginFrame]) error {
	defer close(s.left)
	s.hang(hangsDeclare)
	err := stream.Send(frame(&pluginpb.PluginEnvelope{RequestId: 1, Body: &pluginpb.PluginEnvelope_Declare{Declare: &pluginpb.Declare{}}}))
	if err != nil {
		return err
	}
	for _, event := range []struct {
		name string
		when chan struct{}
	}{{"started", s.started}, {"drained", s.stopped}} {
		select {
		case <-event.when:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
		err := stream.Send(frame(&pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Announce{
			Announce: &pluginpb.Announce{Fields: map[string][]byte{event.name: nil}},
		}}))
		if err != nil {
			return err
		}
	}
	return nil
}

func frame(envelope *pluginpb.PluginEnvelope) *pluginpb.PluginFrame {
	return &pluginpb.PluginFrame{Envelopes: []*pluginpb.PluginEnvelope{envelope}}
}

func (s *server) Start(context.Context, *pluginpb.StartRequest) (*pluginpb.StartResponse, error) {
	s.hang(hangsStart)
	switch s.vice {
	case cannotListen:
		return &pluginpb.StartResponse{Error: "127.0.0.1:1: address in use", CannotListen: true}, nil
	case flood:
		megabytes, _ := strconv.Atoi(os.Getenv(floodMB))
		block := bytes.Repeat([]byte("0123456789abcdef0123456789abcde\n"), 1<<20/32)
		for range megabytes {
			_, _ = s.stderr.Write(block)
			_, _ = s.stdout.Write(block)
		}
	case hoards:
		for range 300 {
			s.hoard = append(s.hoard, bytes.Repeat([]byte{1}, 1<<20)) // written to, or it takes no memory
		}
	case brood:
		for range 40 {
			if err := exec.Command("/bin/sleep", "1000").Start(); err != nil {
				panic(err)
			}
		}
	}
	close(s.started)
	return &pluginpb.StartResponse{Endpoints: []string{"here"}}, nil
}

func (s *server) Health(context.Context, *pluginpb.HealthRequest) (*pluginpb.HealthResponse, error) {
	s.hang(hangsHealth)
	if s.vice == exitsRunning {
		os.Exit(6)
	}
	return &pluginpb.HealthResponse{Healthy: true}, nil
}

func (s *server) Stop(_ context.Context, request *pluginpb.StopRequest) (*pluginpb.StopResponse, error) {
	s.hang(hangsStop)
	if s.vice == slowStop {
		time.Sleep(time.Duration(request.GetDeadlineMs()) * time.Millisecond / 2)
	}
	close(s.stopped)
	<-s.left
	return &pluginpb.StopResponse{}, nil
}
