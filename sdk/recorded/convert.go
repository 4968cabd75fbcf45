package recorded

import (
	"errors"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
)

func milliseconds(n uint32) time.Duration { return time.Duration(n) * time.Millisecond }

func credentials(c *pluginpb.Credentials) sdk.Credentials {
	return sdk.Credentials{Token: c.GetToken(), Auth: c.GetAuth(), Trusted: c.GetTrusted(), Remote: c.GetRemote()}
}

func policy(p *pluginpb.Policy) sdk.Policy {
	return sdk.Policy{
		Exclusive: p.GetExclusive(), Acks: p.GetAcks(), Prefetch: int(p.GetPrefetch()),
		Resend: milliseconds(p.GetResendMs()), Retry: milliseconds(p.GetRetryMs()), RetryMax: milliseconds(p.GetRetryMaxMs()),
	}
}

// refusal is the error of a call of the Host as the core has said it. One that
// is none of the core's has a code that the core does not know.
func refusal(err error) *pluginpb.Error {
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*sdk.Error](err)
	if !ok {
		return &pluginpb.Error{Code: -1, Message: err.Error()}
	}
	return &pluginpb.Error{Code: e.Code, Message: e.Message, RetryAfterMs: uint32(e.RetryAfter.Milliseconds())}
}

func done(err error) *pluginpb.CoreEnvelope {
	return &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Done{Done: &pluginpb.Done{Error: refusal(err)}}}
}

func publishResult(p sdk.Published, err error) *pluginpb.CoreEnvelope {
	result := &pluginpb.PublishResult{Mid: p.MID, Error: refusal(err)}
	for _, s := range p.Statuses {
		result.Statuses = append(result.Statuses, &pluginpb.ReceiverStatus{Receiver: s.Receiver, Status: s.Status})
	}
	return &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Published{Published: result}}
}

func sessionResult(s sdk.Session, err error) *pluginpb.CoreEnvelope {
	return &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Session{Session: &pluginpb.SessionResult{
		Auth: s.Auth, Generation: s.Generation, Announcements: s.Announcements, Error: refusal(err),
	}}}
}

// clearRequest takes the request's id out of an answer: the sdk keeps it to
// itself.
func clearRequest(e *pluginpb.CoreEnvelope) {
	e.ProtoReflect().Range(func(_ protoreflect.FieldDescriptor, body protoreflect.Value) bool {
		if id := body.Message().Descriptor().Fields().ByName("request_id"); id != nil {
			body.Message().Clear(id)
		}
		return true
	})
}
