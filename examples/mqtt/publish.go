package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/eclipse/paho.golang/paho"

	"mpush/sdk"
)

// midProperty is in all that this channel sends, and what has it is not taken
// back: not by this channel, nor by another of its kind.
const midProperty = "mpush-mid"

// packetRoom is more than a PUBLISH has besides topic and payload, in bytes.
const packetRoom = 128

// Reasons of a PUBACK (MQTT 5, section 3.4.2.1) that another attempt would meet
// again.
const (
	topicNameInvalid     = 0x90
	payloadFormatInvalid = 0x99
)

// Deliver sends one message to one topic.
func (c *channel) Deliver(ctx context.Context, d *sdk.Delivery) error {
	attempt, cancel := context.WithTimeout(ctx, c.settings.Timeout)
	defer cancel()
	err := c.send(attempt, c.receivers[d.Receiver], d.Message)
	who := fmt.Sprintf("receiver %q", d.Receiver)
	switch {
	case errors.Is(err, sdk.HandedOff):
		c.failures.Clear(who)
	case ctx.Err() == nil: // else nobody wants to know any more
		c.failures.Note(who, err)
	}
	return err
}

func (c *channel) send(ctx context.Context, r receiver, m *sdk.Message) error {
	limit, err := c.broker.packetLimit(ctx)
	if err != nil {
		return sdk.Retry(c.whyNot())
	}
	packet := &paho.Publish{
		Topic:      r.Topic,
		QoS:        r.qos(),
		Retain:     r.Retain,
		Payload:    m.Packet(),
		Properties: &paho.PublishProperties{ContentType: "application/json"},
	}
	if r.Payload == payloadText {
		packet.Payload, packet.Properties.ContentType = []byte(m.Text), "text/plain; charset=utf-8"
	}
	packet.Properties.User.Add(midProperty, strconv.FormatInt(m.MID, 10))
	if size := len(packet.Payload) + len(packet.Topic) + packetRoom; size > limit {
		return sdk.Permanent(fmt.Errorf("the broker takes %d bytes, this message has %d", limit, size))
	}
	answer, err := c.broker.manager.Publish(ctx, packet)
	switch {
	case answer != nil && (answer.ReasonCode == topicNameInvalid || answer.ReasonCode == payloadFormatInvalid):
		return sdk.Permanent(fmt.Errorf("the broker refused it with reason 0x%02x", answer.ReasonCode))
	case answer != nil && answer.ReasonCode >= 0x80:
		return sdk.Retry(fmt.Errorf("the broker refused it with reason 0x%02x", answer.ReasonCode))
	case errors.Is(err, paho.ErrInvalidArguments):
		return sdk.Retry(errors.New("the broker does not do the receiver's qos or retain"))
	case err != nil:
		return sdk.Retry(c.whyNot())
	default:
		return sdk.HandedOff
	}
}

// whyNot is why the broker has confirmed nothing.
func (c *channel) whyNot() error {
	if err := c.broker.trouble(); err != nil {
		return err
	}
	return errors.New("the broker did not confirm in time")
}
