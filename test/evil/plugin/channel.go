package main

import (
	"context"
	"sync"

	"google.golang.org/grpc"

	"mpush/sdk/pluginpb"
)

// channel is one life of the plugin.
type channel struct {
	pluginpb.UnimplementedPluginServer
	vice    vice
	name    string // set by Configure, before the stream
	started chan struct{}
	start   sync.Once
}

func (c *channel) Describe(context.Context, *pluginpb.DescribeRequest) (*pluginpb.DescribeResponse, error) {
	return &pluginpb.DescribeResponse{Protocol: pluginpb.ProtocolVersion, Name: "evil", Version: "6.6.6", Commands: c.vice.commands}, nil
}

func (c *channel) Configure(_ context.Context, request *pluginpb.ConfigureRequest) (*pluginpb.ConfigureResponse, error) {
	c.name = request.GetChannel()
	return &pluginpb.ConfigureResponse{}, nil
}

func (c *channel) Start(context.Context, *pluginpb.StartRequest) (*pluginpb.StartResponse, error) {
	c.start.Do(func() { close(c.started) })
	return &pluginpb.StartResponse{}, nil
}

func (c *channel) Health(context.Context, *pluginpb.HealthRequest) (*pluginpb.HealthResponse, error) {
	return &pluginpb.HealthResponse{Healthy: true}, nil
}

func (c *channel) Stop(context.Context, *pluginpb.StopRequest) (*pluginpb.StopResponse, error) {
	return &pluginpb.StopResponse{}, nil
}

func (c *channel) Exchange(stream grpc.BidiStreamingServer[pluginpb.CoreFrame, pluginpb.PluginFrame]) error {
	x := &exchange{stream: stream, name: c.name}
	if c.vice.mute {
		<-stream.Context().Done()
		return nil
	}
	routes := []*pluginpb.DeclaredRoute{{Receiver: c.name, Policy: &pluginpb.Policy{Exclusive: true, Acks: true, Prefetch: 1}}}
	if c.vice.declares != nil {
		routes = append(routes, c.vice.declares()...)
	}
	err := x.send(&pluginpb.PluginEnvelope{RequestId: 1, Body: &pluginpb.PluginEnvelope_Declare{Declare: &pluginpb.Declare{Routes: routes}}})
	if err != nil {
		return err
	}
	if err := x.behave(); err != nil {
		return err
	}
	if c.vice.act == nil {
		return x.ignore()
	}
	return c.vice.act(x)
}
