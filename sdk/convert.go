package sdk

import (
	"math"
	"time"
	"unicode/utf8"

	"mpush/sdk/pluginpb"
)

// milliseconds rounds up, so that something short is not nothing. What is
// negative is 0; what is too long for the protocol (49 days) is cut.
func milliseconds(d time.Duration) uint32 {
	if d <= 0 {
		return 0
	}
	ms := (d-1)/time.Millisecond + 1
	return uint32(min(ms, math.MaxUint32))
}

func (p Policy) proto() *pluginpb.Policy {
	return &pluginpb.Policy{
		Exclusive:  p.Exclusive,
		Acks:       p.Acks,
		Prefetch:   uint32(min(max(p.Prefetch, 0), math.MaxInt32)),
		ResendMs:   milliseconds(p.Resend),
		RetryMs:    milliseconds(p.Retry),
		RetryMaxMs: milliseconds(p.RetryMax),
	}
}

func (c Credentials) proto() *pluginpb.Credentials {
	return &pluginpb.Credentials{Token: c.Token, Auth: c.Auth, Trusted: c.Trusted, Remote: c.Remote}
}

// strings are those fields that must be valid UTF-8, or a whole frame fails.
func (c Credentials) strings() []string { return []string{c.Token, c.Auth, c.Remote} }

func allUTF8(texts ...string) bool {
	for _, text := range texts {
		if !utf8.ValidString(text) {
			return false
		}
	}
	return true
}

// refusal is the core's error of an answer, nil for none.
func refusal(e *pluginpb.Error) error {
	if e == nil {
		return nil
	}
	code := e.GetCode()
	if code == pluginpb.ErrorCode_ERROR_CODE_UNSPECIFIED {
		code = CodeUnavailable
	}
	return &Error{Code: code, Message: e.GetMessage(), RetryAfter: time.Duration(e.GetRetryAfterMs()) * time.Millisecond}
}

func errCoreGone() error {
	return &Error{Code: CodeUnavailable, Message: "the core is gone"}
}
