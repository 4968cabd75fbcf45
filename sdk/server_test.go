package sdk_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
)

type stream = grpc.BidiStreamingClient[pluginpb.CoreFrame, pluginpb.PluginFrame]

// serve gives the bare calls of a plugin, where plugintest would go on by
// itself.
func serve(t *testing.T, p sdk.Plugin) pluginpb.PluginClient {
	t.Helper()
	listener := bufconn.Listen(1 << 16)
	server := grpc.NewServer(grpc.WaitForHandlers(true))
	sdk.Register(server, p)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	conn, err := grpc.NewClient("passthrough:///plugin",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		serving.Wait()
	})
	return pluginpb.NewPluginClient(conn)
}

func exchange(t *testing.T, client pluginpb.PluginClient, config string) stream {
	t.Helper()
	configured, err := client.Configure(t.Context(), &pluginpb.ConfigureRequest{Channel: "probe", Config: []byte(config)})
	if err != nil || len(configured.GetDiagnostics()) != 0 {
		t.Fatalf("configure: %v, %v", configured, err)
	}
	s, err := client.Exchange(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func send(t *testing.T, s stream, envelopes ...*pluginpb.CoreEnvelope) {
	t.Helper()
	if err := s.Send(&pluginpb.CoreFrame{Envelopes: envelopes}); err != nil {
		t.Fatal(err)
	}
}

func acceptDeclare(t *testing.T, s stream) {
	t.Helper()
	frame, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	e := frame.GetEnvelopes()[0]
	if e.GetDeclare() == nil {
		t.Fatalf("the first envelope is %v", e)
	}
	send(t, s, &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Done{Done: &pluginpb.Done{RequestId: e.GetRequestId()}}})
}

// bare implements Plugin and nothing else.
type bare struct{}

func (bare) Describe() sdk.Manifest {
	return sdk.Manifest{Name: "bare", Version: "1", Description: "d", Commands: []string{"C"}, Rights: []sdk.Right{sdk.MasterToken}}
}

func TestDescribeIsTheManifest(t *testing.T) {
	got, err := serve(t, bare{}).Describe(t.Context(), &pluginpb.DescribeRequest{Protocol: 9})
	if err != nil {
		t.Fatal(err)
	}
	if got.GetProtocol() != 1 || got.GetName() != "bare" || got.GetVersion() != "1" || got.GetDescription() != "d" ||
		got.GetCommands()[0] != "C" || got.GetRights()[0] != sdk.MasterToken {
		t.Errorf("described %v", got)
	}
}

func TestBarePluginLives(t *testing.T) {
	client := serve(t, bare{})
	s := exchange(t, client, "{}")
	acceptDeclare(t, s)
	if got, err := client.Start(t.Context(), &pluginpb.StartRequest{}); err != nil || got.GetError() != "" {
		t.Errorf("start: %v, %v", got, err)
	}
	if got, err := client.Health(t.Context(), &pluginpb.HealthRequest{}); err != nil || !got.GetHealthy() {
		t.Errorf("health: %v, %v", got, err)
	}
	send(t, s,
		&pluginpb.CoreEnvelope{}, // of a later version: skipped
		&pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Command{Command: &pluginpb.ClaimedCommand{Id: 4}}})
	frame, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if got := frame.GetEnvelopes()[0].GetCommandReply(); got.GetId() != 4 || got.GetError().GetCode() != sdk.CodeUnknownCommand {
		t.Errorf("reply %v", got)
	}
	if _, err := client.Stop(t.Context(), &pluginpb.StopRequest{}); err != nil {
		t.Errorf("stop: %v", err)
	}
	if _, err := s.Recv(); err != io.EOF {
		t.Errorf("after Stop the stream ended with %v", err)
	}
}

func TestKeysForAPluginWithoutConfigAreUnknown(t *testing.T) {
	got, err := serve(t, bare{}).Configure(t.Context(), &pluginpb.ConfigureRequest{Config: []byte(`{"a": 1}`)})
	if err != nil || len(got.GetDiagnostics()) != 1 || got.GetDiagnostics()[0].GetPath() != "a" {
		t.Errorf("configured %v, %v", got, err)
	}
}

func TestConfigureHandsEverythingOver(t *testing.T) {
	var config sdk.Config
	p := &probe{configure: func(c *sdk.Config) error {
		config = *c
		c.Warn("a", "strange")
		return sdk.Invalid("b", "wrong")
	}}
	got, err := serve(t, p).Configure(t.Context(), &pluginpb.ConfigureRequest{
		Channel: "mine", WeakToken: true, MasterToken: "m", TrustedProxies: []string{"127.0.0.0/8", "::1/128"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if config.Channel != "mine" || !config.WeakToken || config.MasterToken != "m" || len(config.TrustedProxies) != 2 || config.TrustedProxies[1].String() != "::1/128" {
		t.Errorf("config %+v", config)
	}
	if d := got.GetDiagnostics(); len(d) != 2 || d[0].GetPath() != "b" || d[1].GetSeverity() != pluginpb.Severity_SEVERITY_WARNING {
		t.Errorf("diagnostics %v", d)
	}
}

func TestCallsOutOfOrderAreRefused(t *testing.T) {
	client := serve(t, bare{})
	refused := func(what string, err error) {
		t.Helper()
		if status.Code(err) != codes.FailedPrecondition {
			t.Errorf("%s: %v", what, err)
		}
	}
	open := func() error {
		s, err := client.Exchange(t.Context())
		if err == nil {
			_, err = s.Recv()
		}
		return err
	}
	refused("exchange before configure", open())
	s := exchange(t, client, "")
	acceptDeclare(t, s)
	refused("second exchange", open())
	_, err := client.Start(t.Context(), &pluginpb.StartRequest{})
	if err != nil {
		t.Errorf("start: %v", err)
	}
	_, err = client.Start(t.Context(), &pluginpb.StartRequest{})
	refused("second start", err)
	_, err = client.Configure(t.Context(), &pluginpb.ConfigureRequest{})
	refused("second configure", err)
	_, err = client.Configure(t.Context(), &pluginpb.ConfigureRequest{TrustedProxies: []string{"x"}})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("configure with a bad proxy: %v", err)
	}
}
