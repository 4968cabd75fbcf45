package main

import (
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"

	"mpush/sdk/pluginpb"
)

// exchange is the stream. One goroutine at a time may send, one may read.
type exchange struct {
	stream     grpc.BidiStreamingServer[pluginpb.CoreFrame, pluginpb.PluginFrame]
	name       string // of the channel, and of its receiver
	generation uint64 // of its route
	mid        int64  // of the message that it was given last
	request    uint64 // the last one's number
}

func (x *exchange) send(envelopes ...*pluginpb.PluginEnvelope) error {
	return x.stream.Send(&pluginpb.PluginFrame{Envelopes: envelopes})
}

// behave does what a channel is there for, until it is told to begin.
func (x *exchange) behave() error {
	for {
		frame, err := x.stream.Recv()
		if err != nil {
			return err
		}
		for _, envelope := range frame.GetEnvelopes() {
			deliver := envelope.GetDeliver()
			for _, route := range deliver.GetRoutes() {
				message := deliver.GetMessage()
				x.generation, x.mid = route.GetGeneration(), message.GetMid()
				fmt.Fprintf(os.Stderr, "%s took %s\n", x.name, message.GetText())
				if err := x.send(x.outcome(x.name, message.GetMid(), pluginpb.OutcomeKind_OUTCOME_KIND_ACKED)); err != nil {
					return err
				}
				if message.GetText() == "begin" {
					return nil
				}
			}
		}
	}
}

// take reads until it is given a message.
func (x *exchange) take() error {
	for {
		frame, err := x.stream.Recv()
		if err != nil {
			return err
		}
		for _, envelope := range frame.GetEnvelopes() {
			if deliver := envelope.GetDeliver(); deliver != nil {
				x.mid = deliver.GetMessage().GetMid()
				return nil
			}
		}
	}
}

// ignore reads everything and answers nothing, until the stream ends.
func (x *exchange) ignore() error {
	for {
		if _, err := x.stream.Recv(); err != nil {
			return err
		}
	}
}

// forever says something again and again and ignores what comes back. pause is
// from one time to the next.
func (x *exchange) forever(pause time.Duration, say func() error) error {
	go func() { _ = x.ignore() }()
	for x.stream.Context().Err() == nil {
		if err := say(); err != nil {
			return err
		}
		time.Sleep(pause)
	}
	return nil
}

// ask makes an envelope a request that wants an answer.
func (x *exchange) ask(envelope *pluginpb.PluginEnvelope) *pluginpb.PluginEnvelope {
	x.request++
	envelope.RequestId = 1000 + x.request
	return envelope
}

func (x *exchange) outcome(receiver string, mid int64, kind pluginpb.OutcomeKind) *pluginpb.PluginEnvelope {
	return &pluginpb.PluginEnvelope{Body: &pluginpb.PluginEnvelope_Outcome{Outcome: &pluginpb.Outcome{
		Receiver: receiver, Generation: x.generation, Mid: mid, Kind: kind,
	}}}
}
