package webpush

import (
	"context"
	"encoding/json"
	"fmt"

	"mpush/sdk"
	"mpush/sdk/packet"
)

// The commands that the channel claims. The web client registers the same
// subscription by both names, and old builds of it confirm by the older one.
const (
	cmdRegister    = "REGISTER_WEBPUSH"
	cmdRegisterFCM = "REGISTER_FCM"
	cmdConfirm     = "MESSAGE_WEBPUSH_CALLBACK"
	cmdConfirmFCM  = "MESSAGE_FCM_CALLBACK"
)

// Command does what an authenticated client asks for. It has nothing to say when
// all is well: the web client shows every INFO to its user.
func (p *plugin) Command(ctx context.Context, c *sdk.Command) (info string, err error) {
	switch c.Name {
	case cmdRegister, cmdRegisterFCM:
		return "", p.register(ctx, c)
	case cmdConfirm, cmdConfirmFCM:
		return "", p.confirm(ctx, c)
	default:
		return "", &sdk.Error{Code: sdk.CodeUnknownCommand, Message: "unknown command"}
	}
}

// register stores a subscription beside the receiver's other routes, in place of
// its earlier one.
func (p *plugin) register(ctx context.Context, c *sdk.Command) error {
	subscription, err := parseSubscription(ctx, c.Data, p.door)
	if err != nil {
		if err == errNoEndpoint && c.Name == cmdRegisterFCM && hasToken(c.Data) {
			return refusal("there is no FCM channel here")
		}
		return refusal(err.Error())
	}
	address, err := json.Marshal(subscription)
	if err != nil {
		return fmt.Errorf("encode the subscription: %w", err)
	}
	return p.host.Register(ctx, sdk.Route{
		Receiver: c.Receiver,
		Group:    c.Group,
		Address:  address,
		Policy: sdk.Policy{
			Retry:    p.settings.RetryTimeout,
			RetryMax: max(p.settings.RetryTimeout, maxRetry),
		},
	})
}

// hasToken tells a native app's registration from a web client's.
func hasToken(data []byte) bool {
	fields, err := objectOf("data", data)
	token := string(fields["token"])
	return err == nil && token != "" && token != "null"
}

// confirm tells that a push arrived.
func (p *plugin) confirm(ctx context.Context, c *sdk.Command) error {
	mid, err := packet.ParseCallback(c.Data)
	if err != nil {
		return refusal(err.Error())
	}
	return p.host.Confirm(ctx, sdk.Confirm{Receiver: c.Receiver, MID: mid, HandoffOnly: true})
}

func refusal(message string) error {
	return &sdk.Error{Code: sdk.CodeInvalid, Message: message}
}
