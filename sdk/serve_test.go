package sdk_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"

	"mpush/sdk"
	"mpush/sdk/dial"
	"mpush/sdk/pluginpb"
)

// asPlugin makes the test binary a plugin.
const asPlugin = "MPUSH_SDK_TEST_PLUGIN"

// toCall has the urls that it calls.
const toCall = "MPUSH_SDK_TEST_CALL"

func TestMain(m *testing.M) {
	switch os.Getenv(asPlugin) {
	case "":
	case "contradictory":
		sdk.Serve(&contradictory{})
	default:
		fmt.Println("printed before Serve") // on stderr: see run
		sdk.Serve(&noisy{})
	}
	slog.SetDefault(slog.New(slog.DiscardHandler))
	goleak.VerifyTestMain(m)
}

// noisy prints wherever it can.
type noisy struct{}

func (*noisy) Describe() sdk.Manifest {
	fmt.Println("printed in Describe")
	_, _ = syscall.Write(1, []byte("written to descriptor 1\n"))
	return sdk.Manifest{Name: "noisy", Version: "1"}
}

func (*noisy) Start(ctx context.Context, _ sdk.Host) ([]string, error) {
	slog.Info("started", "receiver", "phone")
	log.Print("printed by package log")
	if err := call(ctx, strings.Fields(os.Getenv(toCall))); err != nil {
		return nil, err
	}
	fmt.Fprintln(os.Stderr, "printed on stderr")
	fmt.Print(strings.Repeat("0123456789abcde\n", 20<<10)) // more than a pipe holds
	collectGarbage()
	_, _ = syscall.Write(1, []byte("descriptor 1 is still open\n"))
	return nil, nil
}

// call asks each of urls, as a channel that calls out does.
func call(ctx context.Context, urls []string) error {
	client := http.Client{Transport: dial.NewTransport(dial.Proxy{}, nil)}
	for _, url := range urls {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
	}
	return nil
}

// collectGarbage returns when what is unreachable has been finalized.
func collectGarbage() {
	done := make(chan struct{})
	runtime.SetFinalizer(new([64]byte), func(*[64]byte) { close(done) })
	for {
		runtime.GC()
		select {
		case <-done:
			return
		default:
			runtime.Gosched()
		}
	}
}

func (*noisy) Stop(context.Context) error {
	slog.Info("stopped")
	return nil
}

// process is the plugin, run as a core does.
type process struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	lines  chan string   // of stderr; closed at its end
	mute   chan struct{} // closed at the end of stdout
	client pluginpb.PluginClient
	conn   *grpc.ClientConn
}

// command is the test binary as a plugin. What it prints before Serve is the
// author's own fault, so its stdout is the handshake from Serve on.
func command(ctx context.Context, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0])
	// Under the race detector a process would linger for a second.
	cmd.Env = append(os.Environ(), append(env, asPlugin+"=1", "GORACE=atexit_sleep_ms=0")...)
	return cmd
}

func run(t *testing.T, env ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	p := &process{cmd: command(ctx, append(env, pluginpb.CookieKey+"="+pluginpb.CookieValue)...), lines: make(chan string, 1<<16)}
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(p.lines)
		for scanner := bufio.NewScanner(stderr); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		cancel() // kills it, if it still runs
		<-read
		if p.conn != nil {
			_ = p.conn.Close()
		}
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Wait()
		}
	})
	reader := bufio.NewReader(stdout)
	if line, _ := reader.ReadString('\n'); line != "printed before Serve\n" {
		t.Fatalf("first line %q", line)
	}
	line, err := reader.ReadString('\n')
	parts := strings.Split(strings.TrimSpace(line), "|")
	if err != nil || len(parts) < 5 || parts[0] != "1" || parts[1] != "1" || parts[2] != "unix" || parts[4] != "grpc" {
		t.Fatalf("handshake %q, %v", line, err)
	}
	p.mute = make(chan struct{})
	go func() {
		defer close(p.mute)
		_, _ = io.Copy(io.Discard, reader)
	}()
	p.conn, err = grpc.NewClient("unix:"+parts[3], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	p.client = pluginpb.NewPluginClient(p.conn)
	if got, err := p.client.Describe(ctx, &pluginpb.DescribeRequest{Protocol: 1}); err != nil || got.GetName() != "noisy" {
		t.Fatalf("describe: %v, %v", got, err)
	}
	return p
}

// await reads stderr up to a line that begins so.
func (p *process) await(t *testing.T, want string) {
	t.Helper()
	for line := range p.lines {
		if strings.HasPrefix(line, want) {
			return
		}
	}
	t.Fatalf("stderr ended without %q", want)
}

// logged reads stderr up to the record with this message.
func (p *process) logged(t *testing.T, message string) map[string]any {
	t.Helper()
	for line := range p.lines {
		var record map[string]any
		if json.Unmarshal([]byte(line), &record) == nil && record["msg"] == message {
			return record
		}
	}
	t.Fatalf("stderr ended without the record %q", message)
	return nil
}

// ends waits for the process and expects exit code 0.
func (p *process) ends(t *testing.T) {
	t.Helper()
	for range p.lines {
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the plugin ended with %v", err)
	}
}

func (p *process) start(t *testing.T) stream {
	t.Helper()
	s := exchange(t, p.client, "")
	acceptDeclare(t, s)
	if got, err := p.client.Start(t.Context(), &pluginpb.StartRequest{}); err != nil || got.GetError() != "" {
		t.Fatalf("start: %v, %v", got, err)
	}
	return s
}

func TestServeWithoutACoreSaysWhatItIs(t *testing.T) {
	cmd := command(t.Context(), pluginpb.CookieKey+"=")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	err := cmd.Run()
	if cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("ended with %v", err)
	}
	if got := stderr.String(); !strings.HasPrefix(got, "this is an mpush channel plugin (noisy 1)") || strings.Count(got, "\n") != 1 {
		t.Errorf("stderr %q", got)
	}
}

// contradictory has two ways to deliver.
type contradictory struct {
	noisy
	sdk.Egress
	sdk.BatchEgress
}

func TestServeRefusesAPluginThatContradictsItself(t *testing.T) {
	cmd := command(t.Context(), pluginpb.CookieKey+"="+pluginpb.CookieValue)
	cmd.Env = append(cmd.Env, asPlugin+"=contradictory")
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState.ExitCode() != 1 || stdout.Len() > 0 {
		t.Errorf("ended with %v, stdout %q", err, stdout.String())
	}
	if got := stderr.String(); !strings.Contains(got, "implements Egress (Deliver) and BatchEgress (DeliverBatch): messages go out one way") {
		t.Errorf("stderr %q", got)
	}
}

func TestPrintsGoToStderrAndNeverBlock(t *testing.T) {
	p := run(t)
	p.await(t, "printed in Describe")
	p.await(t, "written to descriptor 1")
	p.start(t)
	record := p.logged(t, "started")
	if record["level"] != "INFO" || record["receiver"] != "phone" || record["time"] == nil {
		t.Errorf("record %v", record)
	}
	p.await(t, "printed on stderr")
	p.await(t, "0123456789abcde")
	p.await(t, "descriptor 1 is still open")
	select {
	case <-p.mute:
		t.Error("stdout has ended before the process")
	default:
	}
}

// An endpoint may send back, after its answer, the message that it was sent:
// net/http prints what comes on a connection that is not in use.
func TestWhatAnEndpointSendsIsNotLogged(t *testing.T) {
	const secret = "pr1vate"
	answers := []string{"HTTP/1.1 204 No Content\r\n\r\n" + secret, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + secret}
	// Closed by the plugin: it has looked at what came.
	closed := make(chan struct{}, len(answers))
	var urls []string
	for _, answer := range answers {
		urls = append(urls, answering(t, answer, closed))
	}
	p := run(t, toCall+"="+strings.Join(urls, " "))
	p.start(t)
	for range cap(closed) {
		<-closed
	}
	if err := p.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for line := range p.lines {
		if strings.HasPrefix(line, "{") {
			all.WriteString(line + "\n")
		}
	}
	p.ends(t)
	for _, part := range []string{secret, secret[1:]} {
		if strings.Contains(all.String(), part) {
			t.Errorf("%q is in the log:\n%s", part, &all)
		}
	}
	for part, times := range map[string]int{`"msg":"printed by package log"`: 1, "it may quote the other side": cap(closed)} {
		if got := strings.Count(all.String(), part); got != times {
			t.Errorf("%q is %d times in the log, not %d:\n%s", part, got, times, &all)
		}
	}
}

// answering runs a server that answers each connection's first bytes, leaves it
// open, and says when the other side has closed it.
func answering(t *testing.T, answer string, closed chan<- struct{}) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				_, _ = conn.Read(make([]byte, 4096))
				// A client that notices only later that it has written gives the
				// connection up and does not look at what comes.
				time.Sleep(time.Second)
				_, _ = io.WriteString(conn, answer)
				_, _ = io.Copy(io.Discard, conn)
				closed <- struct{}{}
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		all.Wait()
	})
	return "http://" + listener.Addr().String()
}

func TestPluginEndsWhenStdinEnds(t *testing.T) {
	for _, phase := range []string{"described", "started"} {
		t.Run(phase, func(t *testing.T) {
			p := run(t)
			if phase == "started" {
				p.start(t)
			}
			if err := p.stdin.Close(); err != nil {
				t.Fatal(err)
			}
			p.logged(t, "stopped")
			p.ends(t)
		})
	}
}

func TestPluginEndsWhenTheStreamEnds(t *testing.T) {
	p := run(t)
	p.start(t)
	if err := p.conn.Close(); err != nil {
		t.Fatal(err)
	}
	p.logged(t, "stopped")
	p.ends(t)
}

func TestSignalsAreLeftToTheCore(t *testing.T) {
	p := run(t)
	p.start(t)
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		if err := p.cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if got, err := p.client.Health(t.Context(), &pluginpb.HealthRequest{}); err != nil || !got.GetHealthy() {
			t.Fatalf("health: %v, %v", got, err)
		}
	}
	if _, err := p.client.Stop(t.Context(), &pluginpb.StopRequest{DeadlineMs: 5000}); err != nil {
		t.Errorf("stop: %v", err)
	}
	p.logged(t, "stopped")
	// go-plugin's goodbye, as its client says it.
	if err := p.conn.Invoke(t.Context(), "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{}); err != nil &&
		!strings.Contains(err.Error(), "Unavailable") {
		t.Errorf("shutdown: %v", err)
	}
	p.ends(t)
}

func TestSocketIsRemovedAtTheEnd(t *testing.T) {
	for name, end := range map[string]func(*process){
		"stop": func(p *process) {
			p.start(t)
			if _, err := p.client.Stop(t.Context(), &pluginpb.StopRequest{DeadlineMs: 5000}); err != nil {
				t.Errorf("stop: %v", err)
			}
			_ = p.conn.Invoke(t.Context(), "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{})
		},
		"stop without a goodbye": func(p *process) {
			p.start(t)
			if _, err := p.client.Stop(t.Context(), &pluginpb.StopRequest{DeadlineMs: 5000}); err != nil {
				t.Errorf("stop: %v", err)
			}
		},
		"stdin": func(p *process) { _ = p.stdin.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			p := run(t)
			path := strings.TrimPrefix(p.conn.Target(), "unix:")
			if _, err := os.Stat(path); err != nil {
				t.Fatal(err)
			}
			end(p)
			p.ends(t)
			if _, err := os.Stat(path); !os.IsNotExist(err) {
				t.Errorf("the socket is still there: %v", err)
			}
		})
	}
}
