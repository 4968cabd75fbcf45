package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"mpush/sdk"
)

const (
	// publishTime is how long the relay may take to have a message on disk.
	publishTime = time.Minute
	// Pauses before a message is published again double from the first to the
	// last.
	firstHold, lastHold = 500 * time.Millisecond, 30 * time.Second
)

// fromBroker is what a failure of what comes is noted under.
const fromBroker = "what comes from the broker"

// takeAll publishes what comes, one after the other, so that the order stays.
func (c *channel) takeAll(ctx context.Context) {
	for {
		a, ok := c.inbox.next(ctx)
		if !ok {
			return
		}
		c.take(ctx, a)
	}
}

// take publishes one message and acknowledges it to the broker when it is on
// disk, or can never be. What can not be published now holds up what is behind
// it: the broker keeps that.
func (c *channel) take(ctx context.Context, a arrival) {
	topic := a.packet.Topic
	message, err := c.messageOf(a)
	if err == nil && message.Target == "" {
		c.ack(a) // nothing of ours
		return
	}
	gone := a.client.Done()
	if a.packet.QoS == 0 {
		gone = nil // it does not come again
	}
	for hold := firstHold; err == nil; hold = min(2*hold, lastHold) {
		var later error
		if later, err = c.publish(ctx, message); later == nil {
			break
		}
		c.failures.Note(fromBroker, later)
		pause := hold
		if refused, ok := errors.AsType[*sdk.Error](later); ok {
			pause = max(pause, refused.RetryAfter)
		}
		select {
		case <-time.After(pause):
		case <-gone: // it comes again by the next connection
			return
		case <-ctx.Done():
			return
		}
	}
	if err != nil {
		slog.Warn("a message from the broker is dropped", "topic", topic, "err", err)
	}
	c.failures.Clear(fromBroker)
	c.ack(a)
}

// ack tells the broker that the message need not come again. If it can not be
// told, it does come again.
func (c *channel) ack(a arrival) { _ = a.client.Ack(a.packet) }

// publish reports later if the message is to be tried again, never if it can
// not be published at all.
func (c *channel) publish(ctx context.Context, message sdk.Publish) (later, never error) {
	ctx, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	published, err := c.host.Publish(ctx, message)
	if err == nil {
		switch {
		case published.MID != 0:
			return nil, nil
		case len(published.Statuses) > 0 && published.Statuses[0].Status == "full":
			// One that does not read must not hold up the others.
			return nil, fmt.Errorf("the queue of %q is full", message.Target)
		default:
			return nil, fmt.Errorf("there is nobody called %q", message.Target)
		}
	}
	switch refused, ok := errors.AsType[*sdk.Error](err); {
	case !ok:
		return err, nil
	case refused.Code == sdk.CodeUnavailable, refused.Code == sdk.CodeLimit, refused.Code == sdk.CodeUnauthenticated:
		return err, nil
	default:
		return nil, err
	}
}

// messageOf makes a message of what has come. It has no target if it is none of
// ours.
func (c *channel) messageOf(a arrival) (sdk.Publish, error) {
	topic := a.packet.Topic
	if strings.HasPrefix(topic, "$") || a.packet.Properties != nil && a.packet.Properties.User.Get(midProperty) != "" {
		return sdk.Publish{}, nil
	}
	for _, one := range c.settings.Subscribe {
		if !overlap(one.Filter, topic) {
			continue
		}
		message := sdk.Publish{Credentials: sdk.Credentials{Trusted: true}, SendType: sdk.Personal}
		switch {
		case one.Group != "":
			message.SendType, message.Target = sdk.Group, one.Group
		case one.Name != "":
			message.Target = one.Name
		default:
			if message.Target = topic[strings.LastIndexByte(topic, '/')+1:]; message.Target == "" {
				return sdk.Publish{}, errors.New("the topic's last level is empty, and so no name")
			}
		}
		id, err := read(&message, topic, a.packet.Payload, one.Payload == payloadJSON)
		if id != "" {
			message.IdempotencyKey = keyOf(c.settings.Broker, topic, id, message)
		}
		return message, err
	}
	return sdk.Publish{}, nil
}
