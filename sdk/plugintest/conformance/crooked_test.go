package conformance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"mpush/sdk/pluginpb"
)

// crooked is a plugin without the sdk that does everything right but for one
// vice, named by the check that must find it; "" has none. It acks on its routes,
// of which the core leases four messages ahead on the first.
type crooked struct {
	pluginpb.UnimplementedPluginServer
	vice    string
	leave   func()       // ends the process; nil if it is the test's
	running *atomic.Bool // shared by all lives

	mu     sync.Mutex
	ended  map[string]uint64 // generations, by receiver
	asked  int
	held   []*pluginpb.PluginEnvelope
	owed   []*pluginpb.PluginEnvelope // to be sent behind the next outcome
	busy   bool                       // with a load
	files  []*os.File
	listen []net.Listener
}

const crookedSection = `{"keys": {"a": 1}, "name": "x"}`

// honestlyGone is no vice: what the routes lead to is gone for good.
const honestlyGone = "honestly gone"

// honestBySchema is no vice: its schema alone says of what kind a name is.
const honestBySchema = "honest by its schema"

const unservedSchema = `{"$schema": "http://json-schema.org/draft-07/schema#"}`

// bySchema knows of schemas what the crooked plugin's hold: a core knows more.
func bySchema(schema, section []byte) (faults []string, err error) {
	var s struct {
		Properties struct {
			Name struct {
				Type string
				Enum []any
			}
		}
	}
	if err := json.Unmarshal(schema, &s); err != nil || string(schema) == unservedSchema {
		return nil, errors.Join(err, errors.New("another draft"))
	}
	var given struct{ Name any }
	if len(section) > 0 {
		if err := json.Unmarshal(section, &given); err != nil {
			return []string{err.Error()}, nil
		}
	}
	_, isText := given.Name.(string)
	if s.Properties.Name.Type == "number" && isText || s.Properties.Name.Enum != nil && !isText {
		faults = append(faults, "name: wrong")
	}
	return faults, nil
}

func newCrooked(vice string, running *atomic.Bool) *crooked {
	return &crooked{vice: vice, running: running, ended: map[string]uint64{}}
}

func (c *crooked) Describe(context.Context, *pluginpb.DescribeRequest) (*pluginpb.DescribeResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	m := &pluginpb.DescribeResponse{Protocol: 1, Name: "crooked", Version: "1", Commands: []string{"CROOK"}}
	switch c.vice {
	case "describe":
		m.Name = ""
	case "describe-again":
		m.Version = fmt.Sprint(c.asked)
	case "schema":
		m.ConfigSchema = []byte(`{"$ref": "https://example.com/schema.json"}`)
	case "schema that is no JSON":
		m.ConfigSchema = []byte(`{"type": `)
	case "schema that is not served":
		m.ConfigSchema = []byte(unservedSchema)
	case "schema that the section does not fit":
		m.ConfigSchema = []byte(`{"properties": {"name": {"type": "number"}}}`)
	case honestBySchema:
		m.ConfigSchema = []byte(`{"properties": {"name": {"enum": ["x"]}}}`)
	}
	return m, nil
}

func (c *crooked) Configure(_ context.Context, request *pluginpb.ConfigureRequest) (*pluginpb.ConfigureResponse, error) {
	response := &pluginpb.ConfigureResponse{}
	refuse := func(path string) {
		response.Diagnostics = append(response.Diagnostics, &pluginpb.Diagnostic{Severity: pluginpb.Severity_SEVERITY_ERROR, Path: path, Message: "wrong"})
	}
	var section map[string]any
	if err := json.Unmarshal(request.GetConfig(), &section); err != nil {
		return nil, err
	}
	for key, value := range section {
		_, isObject := value.(map[string]any)
		_, isText := value.(string)
		switch {
		case key != "keys" && key != "name":
			if c.vice != "config-unknown-key" {
				refuse(key)
			}
		case key == "keys" && !isObject, key == "name" && !isText && c.vice != honestBySchema:
			if c.vice != "config-wrong-type" {
				refuse(key)
			}
		}
	}
	switch {
	case c.vice == "config":
		refuse("name")
	case c.vice == "second-instance" && c.running.Load():
		refuse("name")
	case c.vice == "configure-quiet":
		c.open()
	}
	return response, nil
}

func (c *crooked) open() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listen = append(c.listen, listener)
	return listener.Addr().String()
}

func (c *crooked) Start(context.Context, *pluginpb.StartRequest) (*pluginpb.StartResponse, error) {
	c.running.Store(true)
	if c.vice == "stop-listening" {
		return &pluginpb.StartResponse{Endpoints: []string{c.open()}}, nil
	}
	return &pluginpb.StartResponse{}, nil
}

func (c *crooked) Health(ctx context.Context, _ *pluginpb.HealthRequest) (*pluginpb.HealthResponse, error) {
	c.mu.Lock()
	busy := c.busy
	c.mu.Unlock()
	if c.vice == "health" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if c.vice == "health-load" && busy {
		return nil, errors.New("no time")
	}
	return &pluginpb.HealthResponse{Healthy: true}, nil
}

func (c *crooked) Stop(ctx context.Context, _ *pluginpb.StopRequest) (*pluginpb.StopResponse, error) {
	switch c.vice {
	case "drain":
		<-ctx.Done()
		return nil, ctx.Err()
	case "drain that leaves something":
		if err := exec.Command("sleep", "60").Start(); err != nil {
			return nil, err
		}
	}
	return &pluginpb.StopResponse{}, nil
}

func (c *crooked) Exchange(stream grpc.BidiStreamingServer[pluginpb.CoreFrame, pluginpb.PluginFrame]) error {
	defer func() {
		c.running.Store(false)
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, listener := range c.listen {
			_ = listener.Close()
		}
		if c.leave != nil && c.vice != "exit-stream" {
			c.leave()
		}
	}()
	if err := stream.Send(&pluginpb.PluginFrame{Envelopes: append([]*pluginpb.PluginEnvelope{c.declare()}, c.requests()...)}); err != nil {
		return err
	}
	for {
		frame, err := stream.Recv()
		if err != nil {
			return err
		}
		if c.vice == "large-frame" && proto.Size(frame) > 1<<20 {
			return errors.New("too long for me")
		}
		answer := &pluginpb.PluginFrame{}
		for _, e := range frame.GetEnvelopes() {
			answers, err := c.take(e)
			if err != nil {
				return err
			}
			answer.Envelopes = append(answer.Envelopes, answers...)
		}
		if len(answer.GetEnvelopes()) > 0 {
			if err := stream.Send(answer); err != nil {
				return err
			}
		}
	}
}

// requests are sent when the plugin has declared its routes.
func (c *crooked) requests() (all []*pluginpb.PluginEnvelope) {
	switch c.vice {
	case "requests":
		all = append(all, &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Publish{Publish: &pluginpb.Publish{Text: "to whom?"}}})
	case "publish to a name that is too long":
		all = append(all, &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Publish{Publish: &pluginpb.Publish{
			SendType: pluginpb.SendType_SEND_TYPE_PERSONAL, Target: strings.Repeat("x", 257),
		}}})
	case "attach to a group with a line in it":
		all = append(all, &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Attach{Attach: &pluginpb.Attach{Name: "ann", Group: "a\nb"}}})
	case "authenticate nobody":
		all = append(all, &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Authenticate{Authenticate: &pluginpb.Authenticate{}}})
	case "announce too much":
		all = append(all, &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Announce{Announce: &pluginpb.Announce{
			Fields: map[string][]byte{"a": []byte(`"` + strings.Repeat("x", 64<<10) + `"`)},
		}}})
	case "keep too much":
		for i := range 17 {
			all = append(all, &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_StatePut{StatePut: &pluginpb.StatePut{
				Key: fmt.Sprint(i), Value: make([]byte, 64<<10),
			}}})
		}
	}
	for i, e := range all {
		e.RequestId = uint64(i + 2)
	}
	return all
}

func (c *crooked) declare() *pluginpb.PluginEnvelope {
	policy := &pluginpb.Policy{Exclusive: true, Acks: c.vice != "kinds", Prefetch: 4}
	d := &pluginpb.Declare{Routes: []*pluginpb.DeclaredRoute{
		{Receiver: "ahead", Policy: policy},
		{Receiver: "plain", Policy: &pluginpb.Policy{Acks: true}},
	}}
	switch c.vice {
	case "declare":
		d.Routes = append(d.Routes, d.Routes[0])
	case "declare a name with a line in it":
		d.Routes = append(d.Routes, &pluginpb.DeclaredRoute{Receiver: "a\nb"})
	case "declare a group that is too long":
		d.Routes[1].Group = strings.Repeat("x", 257)
	case "crash":
		d.Routes[0].Receiver = fmt.Sprint("ahead-", os.Getpid())
	}
	e := &pluginpb.PluginEnvelope{RequestId: 1, Body: &pluginpb.PluginEnvelope_Declare{Declare: d}}
	if c.vice == "declare without an id" {
		e.RequestId = 0
	}
	return e
}

func (c *crooked) take(e *pluginpb.CoreEnvelope) ([]*pluginpb.PluginEnvelope, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case e.GetDeliver() != nil:
		var all []*pluginpb.PluginEnvelope
		if c.vice == "declare again" && !c.busy {
			again := c.declare()
			again.RequestId = 2
			all = append(all, again)
		}
		for _, r := range e.GetDeliver().GetRoutes() {
			if c.vice == "unknown-receiver" && r.GetReceiver() != "ahead" && r.GetReceiver() != "plain" {
				return nil, errors.New("who is that?")
			}
			all = append(all, c.deliver(e.GetDeliver().GetMessage(), r)...)
		}
		return all, nil
	case e.GetEvict() != nil:
		if c.vice != "stale-generation" {
			c.ended[e.GetEvict().GetReceiver()] = e.GetEvict().GetGeneration()
		}
		if c.vice == "evict" {
			c.owed, c.held = c.held, nil
		}
	case e.GetRecall() != nil && c.vice == "recall":
		c.owed, c.held = c.held, nil
	case e.GetCommand() != nil:
		reply := &pluginpb.CommandReply{Id: e.GetCommand().GetId()}
		if e.GetCommand().GetCommand() != "CROOK" && c.vice == "unclaimed-command" {
			return nil, errors.New("what is that?")
		}
		if c.vice == "commands" {
			reply.Error = &pluginpb.Error{Code: pluginpb.ErrorCode_ERROR_CODE_INVALID, Message: "no"}
		}
		return []*pluginpb.PluginEnvelope{{Body: &pluginpb.PluginEnvelope_CommandReply{CommandReply: reply}}}, nil
	case e.GetBody() == nil && c.vice == "unknown-envelope":
		return nil, errors.New("what is that?")
	}
	return nil, nil
}

// deliver answers one delivery.
func (c *crooked) deliver(m *pluginpb.Message, r *pluginpb.DeliverRoute) []*pluginpb.PluginEnvelope {
	c.busy = strings.HasPrefix(m.GetText(), "conformance ")
	if r.GetGeneration() <= c.ended[r.GetReceiver()] {
		return nil
	}
	say := func(change func(*pluginpb.Outcome)) *pluginpb.PluginEnvelope {
		o := &pluginpb.Outcome{Receiver: r.GetReceiver(), Generation: r.GetGeneration(), Mid: m.GetMid(), Kind: pluginpb.OutcomeKind_OUTCOME_KIND_ACKED}
		if change != nil {
			change(o)
		}
		return &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Outcome{Outcome: o}}
	}
	ack := say(nil)
	ahead := strings.HasPrefix(r.GetReceiver(), "ahead")
	behind := c.owed
	c.owed = nil
	switch {
	case c.vice == "outcomes" && m.GetText() == "conformance 7":
		return nil
	case c.vice == honestlyGone:
		return []*pluginpb.PluginEnvelope{say(func(o *pluginpb.Outcome) { o.Kind = pluginpb.OutcomeKind_OUTCOME_KIND_GONE })}
	case c.vice == "outcomes, two of them" && c.busy:
		return []*pluginpb.PluginEnvelope{ack, ack}
	case c.vice == "kinds that are unknown" && c.busy:
		return []*pluginpb.PluginEnvelope{say(func(o *pluginpb.Outcome) { o.Kind = 77 })}
	case c.vice == "credit" && c.busy:
		return []*pluginpb.PluginEnvelope{ack, say(func(o *pluginpb.Outcome) { o.Mid += 1 << 30 })}
	case c.vice == "generation" && c.busy:
		return []*pluginpb.PluginEnvelope{ack, say(func(o *pluginpb.Outcome) {
			o.Generation--
			o.Kind = pluginpb.OutcomeKind_OUTCOME_KIND_HANDED_OFF
		})}
	case c.vice == "order" && ahead && m.GetText() == "to all at once":
		c.held = append(c.held, ack)
		return nil
	case c.vice == "order" && ahead && len(c.held) > 0:
		held := c.held
		c.held = nil
		return append([]*pluginpb.PluginEnvelope{ack}, held...)
	case c.vice == "retry" && ahead && m.GetText() == "to all at once" && r.GetAttempt() == 0:
		return []*pluginpb.PluginEnvelope{say(func(o *pluginpb.Outcome) { o.Kind = pluginpb.OutcomeKind_OUTCOME_KIND_RETRY })}
	case c.vice == "retry" && ahead && c.busy && r.GetAttempt() == 0:
		return []*pluginpb.PluginEnvelope{say(func(o *pluginpb.Outcome) { o.Kind = pluginpb.OutcomeKind_OUTCOME_KIND_REJECTED })}
	case c.vice == "redelivery" && r.GetAttempt() > 0:
		return []*pluginpb.PluginEnvelope{ack, ack}
	case c.vice == "recall" && m.GetText() == "maybe recalled", c.vice == "evict" && m.GetText() == "maybe evicted":
		c.held = []*pluginpb.PluginEnvelope{ack}
	case c.vice == "leaks":
		file, err := os.Open(os.DevNull)
		if err != nil {
			panic(err)
		}
		c.files = append(c.files, file)
	}
	return append([]*pluginpb.PluginEnvelope{ack}, behind...)
}

var _ pluginpb.PluginServer = (*crooked)(nil)

// linger is for a process that does not end.
func linger() { time.Sleep(time.Hour) }
