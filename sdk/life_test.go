package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

func TestStopLetsDeliveriesEndAndReportsThem(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	stopping := make(chan struct{})
	p := &probe{
		deliver: func(context.Context, *sdk.Delivery) error {
			close(begun)
			<-finish
			return nil
		},
		stop: func(context.Context) error {
			close(stopping)
			return errors.New("is logged")
		},
	}
	core := plugintest.Start(t, p, plugintest.Options{})
	mid := core.Deliver("phone", &pluginpb.Message{Text: "x"})
	<-begun
	go func() {
		close(finish)
	}()
	core.Stop()
	<-stopping
	<-p.ctx.Done()
	// It was sent before Stop returned.
	if got := core.Outcome(); got.GetMid() != mid || got.GetKind() != pluginpb.OutcomeKind_OUTCOME_KIND_ACKED {
		t.Errorf("outcome %v", got)
	}
}

func TestDeclareFailureEndsTheStreamWithTheReason(t *testing.T) {
	for name, refuse := range map[string]bool{"plugin": false, "core": true} {
		t.Run(name, func(t *testing.T) {
			p := &probe{declare: func(context.Context, sdk.Host) ([]sdk.Route, error) {
				if refuse {
					return []sdk.Route{{Receiver: "taken"}}, nil
				}
				return nil, errors.New("no keys")
			}}
			client := serve(t, p)
			stream := exchange(t, client, "")
			want := "no keys"
			if refuse {
				want = "declared routes: name in use"
				frame, err := stream.Recv()
				if err != nil {
					t.Fatal(err)
				}
				send(t, stream, &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Done{Done: &pluginpb.Done{
					RequestId: frame.GetEnvelopes()[0].GetRequestId(),
					Error:     &pluginpb.Error{Code: sdk.CodeNameInUse, Message: "name in use"},
				}}})
			}
			if _, err := stream.Recv(); status.Code(err) != codes.FailedPrecondition || status.Convert(err).Message() != "declare: "+want {
				t.Errorf("the stream ended with %v", err)
			}
			started, err := client.Start(t.Context(), &pluginpb.StartRequest{})
			if err != nil || started.GetError() != want || started.GetCannotListen() {
				t.Errorf("start: %v, %v", started, err)
			}
			health, err := client.Health(t.Context(), &pluginpb.HealthRequest{})
			if err != nil || health.GetHealthy() || health.GetReason() != want {
				t.Errorf("health: %v, %v", health, err)
			}
		})
	}
}

func TestPortInUseIsToldApart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, test := range []struct {
		start func() ([]string, error)
		want  bool
	}{
		{func() ([]string, error) {
			_, err := net.Listen("tcp", taken.Addr().String())
			return nil, fmt.Errorf("probe: %w", err)
		}, true},
		{func() ([]string, error) { _, err := net.Listen("tcp", "192.0.2.1:0"); return nil, err }, true},
		{func() ([]string, error) { _, err := net.Dial("tcp", "127.0.0.1:0"); return nil, err }, false},
		{func() ([]string, error) { return nil, errors.New("other") }, false},
	} {
		client := serve(t, &probe{start: test.start})
		acceptDeclare(t, exchange(t, client, ""))
		got, err := client.Start(t.Context(), &pluginpb.StartRequest{})
		if err != nil || got.GetError() == "" || got.GetCannotListen() != test.want {
			t.Errorf("start: %v, %v", got, err)
		}
	}
}

func TestHealthIsThePlugins(t *testing.T) {
	core := plugintest.Start(t, &probe{health: errors.New("tired")}, plugintest.Options{})
	if err := core.Health(); err == nil || err.Error() != "tired" {
		t.Errorf("health: %v", err)
	}
}

func TestCommandsAreBounded(t *testing.T) {
	const atOnce, most = 64, 64 + 4096
	release, begun := make(chan struct{}), make(chan struct{}, most)
	var running atomic.Int64
	p := &probe{command: func(_ context.Context, c *sdk.Command) (string, error) {
		switch c.Name {
		case "BLOCK":
			if n := running.Add(1); n > atOnce {
				t.Errorf("%d commands at once", n)
			}
			begun <- struct{}{}
			<-release
			running.Add(-1)
			return "done", nil
		case "PANIC":
			panic("boom")
		case "REFUSE":
			return "", fmt.Errorf("sorry: %w", &sdk.Error{Code: sdk.CodeLimit, Message: "enough"})
		}
		return strings.Repeat("x", 1<<20), errors.New("other \xff")
	}}
	core := plugintest.Start(t, p, plugintest.Options{})
	for id := range uint64(most) {
		core.Send(&pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Command{Command: &pluginpb.ClaimedCommand{Id: id + 1, Command: "BLOCK", Receiver: fmt.Sprint("phone", id)}}})
	}
	for range atOnce {
		<-begun
	}
	if got := core.Command("BLOCK", "phone", "", "{}"); got.GetError().GetCode() != sdk.CodeUnavailable {
		t.Errorf("over the bound: %v", got)
	}
	close(release)
	for range most {
		if got := plugintest.Next[*pluginpb.PluginEnvelope_CommandReply](core).CommandReply; got.GetInfo() != "done" {
			t.Errorf("reply %v", got)
		}
	}
	if got := core.Command("REFUSE", "phone", "", "{}"); got.GetError().GetCode() != sdk.CodeLimit || got.GetError().GetMessage() != "enough" {
		t.Errorf("refused: %v", got)
	}
	if got := core.Command("PANIC", "phone", "", "{}"); got.GetError().GetCode() != sdk.CodeUnavailable {
		t.Errorf("panicked: %v", got)
	}
	got := core.Command("OTHER", "phone", "", "{}")
	if got.GetError().GetCode() != sdk.CodeUnavailable || got.GetError().GetMessage() != "other \uFFFD" || len(got.GetInfo()) != 64<<10 {
		t.Errorf("failed: %v, %d bytes of info", got.GetError(), len(got.GetInfo()))
	}
}

func TestRunningDeliveryPanicsWithoutHarm(t *testing.T) {
	p := &probe{deliver: func(context.Context, *sdk.Delivery) error { panic("boom") }}
	core := plugintest.Start(t, p, plugintest.Options{})
	core.Deliver("phone", &pluginpb.Message{})
	if got := core.Outcome(); got.GetKind() != pluginpb.OutcomeKind_OUTCOME_KIND_RETRY || got.GetError() != "panic: boom" {
		t.Errorf("outcome %v", got)
	}
}
