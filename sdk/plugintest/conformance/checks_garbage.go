package conformance

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"mpush/sdk/pluginpb"
)

const (
	// strangerName is a receiver that no plugin has.
	strangerName = "conformance-stranger"
	// laterField is the number of a field that protocol 1 does not have yet.
	laterField = 1000
	// Sizes within the limits of frames and messages.
	longTextBytes  = 900 << 10
	longFrameBytes = 3<<20 - 64<<10
)

// garbage are the checks of what is lawful and odd, or a later core's.
func garbage() []Check {
	return []Check{
		{
			Name:  "unknown-envelope",
			Shows: "Envelopes and fields of a later version, empty frames and answers that nobody awaits are skipped.",
			needs: []string{"declare"},
			wants: []string{"commands", "outcomes", "health"},
			run: oddity("after an envelope of a later version", func(l *life) {
				later := &pluginpb.CoreEnvelope{}
				addLater(later.ProtoReflect().SetUnknown, []byte("later"))
				l.send(later)
				l.send(&pluginpb.CoreEnvelope{})
				frame := &pluginpb.CoreFrame{}
				l.sendFrame(frame)
				frame = &pluginpb.CoreFrame{}
				addLater(frame.ProtoReflect().SetUnknown, []byte("later"))
				l.sendFrame(frame)
				const unasked = 1 << 40
				l.done(unasked, nil)
				l.session(unasked, "nobody", 0, refuse(pluginpb.ErrorCode_ERROR_CODE_FORBIDDEN, "unasked"))
				l.send(evict(strangerName, 1, "unasked"))
			}),
		},
		{
			Name:  "large-frame",
			Shows: "A frame of nearly 3 MiB with messages of nearly 1 MiB is taken.",
			needs: []string{"declare"},
			wants: []string{"commands", "outcomes", "health", "unknown-envelope"},
			run:   oddity("after a frame of nearly 3 MiB", (*life).sendLarge),
		},
		{
			Name:  "unknown-receiver",
			Shows: "A delivery for a receiver that the plugin has no route to does it no harm.",
			needs: []string{"declare"},
			wants: []string{"commands", "outcomes", "health"},
			run: oddity("after a delivery for an unknown receiver", func(l *life) {
				l.send(deliver(l.kit.message(strangerName, "who?"), &pluginpb.DeliverRoute{
					Receiver: strangerName, Generation: 1, IntervalMs: 3000, Address: []byte("conformance"),
				}))
			}),
		},
		{
			Name:  "unclaimed-command",
			Shows: "A command that the plugin does not claim, with data that it does not expect, does it no harm.",
			needs: []string{"declare"},
			wants: []string{"commands", "outcomes", "health"},
			run: oddity("after a command that it does not claim", func(l *life) {
				for i, name := range append([]string{"CONFORMANCE_UNCLAIMED"}, l.manifest.GetCommands()...) {
					l.send(&pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Command{Command: &pluginpb.ClaimedCommand{
						Id: uint64(1<<41 + i), Command: name, Data: []byte(`["conformance"]`), Receiver: strangerName,
					}}})
				}
			}),
		},
	}
}

func addLater(set func(protoreflect.RawFields), value []byte) {
	set(protowire.AppendBytes(protowire.AppendTag(nil, laterField, protowire.BytesType), value))
}

// oddity is a check that does something odd and sees whether the plugin works
// on.
func oddity(after string, do func(*life)) func(context.Context, *Kit) error {
	return func(ctx context.Context, k *Kit) error {
		l, err := k.live(ctx)
		if err != nil {
			return err
		}
		l.mu.Lock()
		l.ledger.source = nil
		do(l)
		l.mu.Unlock()
		err = l.works(ctx)
		if err == nil {
			err = l.quiet(ctx)
		}
		if err == nil {
			err = l.answersHealth(ctx)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", after, err)
		}
		return nil
	}
}

// sendLarge sends a frame as long as may be, with messages as long as may be.
func (l *life) sendLarge() {
	frame, size := &pluginpb.CoreFrame{}, 0
	for _, name := range l.ledger.names {
		r := l.ledger.routes[name]
		if r == nil || len(r.leases) > 0 || size+longTextBytes > longFrameBytes {
			continue
		}
		frame.Envelopes = append(frame.Envelopes, l.lease(r, &offer{message: l.kit.message(name, strings.Repeat("long 消息 ", longTextBytes/12))}))
		size += longTextBytes
	}
	filler := &pluginpb.CoreEnvelope{}
	addLater(filler.ProtoReflect().SetUnknown, bytes.Repeat([]byte("x"), longFrameBytes-size))
	frame.Envelopes = append(frame.Envelopes, filler)
	l.sendFrame(frame)
}
