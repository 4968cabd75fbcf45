package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/wneessen/go-mail"

	"mpush/sdk"
	"mpush/sdk/dial"
)

// Deliver sends one message to one address, over a connection of its own.
func (c *channel) Deliver(ctx context.Context, d *sdk.Delivery) error {
	select {
	case c.sending <- struct{}{}:
		defer func() { <-c.sending }()
	case <-ctx.Done():
		return ctx.Err()
	}
	msg, err := compose(c.settings.Out.From, string(d.Address), d.Receiver, d.Message)
	if err != nil {
		err = sdk.Permanent(err)
	} else {
		err = c.send(ctx, msg)
	}
	switch {
	case errors.Is(err, sdk.HandedOff):
		c.failures.Clear(d.Receiver)
	case ctx.Err() == nil: // else nobody wants to know any more
		c.failures.Note(d.Receiver, err)
	}
	return err
}

func (c *channel) send(ctx context.Context, msg *mail.Msg) error {
	attempt, cancel := context.WithTimeout(ctx, c.settings.Out.Timeout)
	defer cancel()
	var conn net.Conn
	client, err := c.client(func(ctx context.Context, network, address string) (net.Conn, error) {
		var err error
		conn, err = c.connect(ctx, network, address)
		if err == nil {
			// A recall, or the end of time, ends what is under way.
			context.AfterFunc(attempt, func() { _ = conn.Close() })
		}
		return conn, err
	})
	if err != nil {
		return sdk.Retry(err)
	}
	err = client.DialAndSendWithContext(attempt, msg)
	if conn != nil {
		_ = conn.Close() // the client leaves it open when it was refused
	}
	if msg.IsDelivered() { // the server has it, however the goodbye went
		return sdk.HandedOff
	}
	if err != nil && attempt.Err() != nil {
		return sdk.Retry(errors.New("the mail server took too long"))
	}
	return judge(err)
}

func (c *channel) client(dialer mail.DialContextFunc) (*mail.Client, error) {
	out := c.settings.Out
	host, port, err := net.SplitHostPort(out.Server)
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	options := []mail.Option{
		mail.WithPort(number), mail.WithTimeout(out.Timeout), mail.WithDialContextFunc(dialer), mail.WithoutNoop(),
	}
	switch out.Security {
	case "starttls":
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory), mail.WithTLSConfig(c.tlsConfig(host)))
	default: // "tls" is in the connection already
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	}
	if out.Username != "" {
		options = append(options, mail.WithUsername(out.Username), mail.WithPassword(out.Password),
			mail.WithOpportunisticSMTPAuth(mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthSCRAMSHA1, mail.SMTPAuthPlain, mail.SMTPAuthLogin))
	}
	return mail.NewClient(host, options...)
}

func (c *channel) connect(ctx context.Context, network, address string) (net.Conn, error) {
	if c.settings.Out.Security != "tls" {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	host, _, _ := net.SplitHostPort(address)
	return (&tls.Dialer{Config: c.tlsConfig(host)}).DialContext(ctx, network, address)
}

func (c *channel) tlsConfig(host string) *tls.Config {
	return &tls.Config{ServerName: host, RootCAs: c.roots}
}

// judge says what a failure means for the message. What the server wrote is not
// repeated, but for its codes: it may quote the mail.
func judge(err error) error {
	failed, ok := errors.AsType[*mail.SendError](err)
	if !ok { // it came to no mail
		if refused, ok := errors.AsType[*textproto.Error](err); ok {
			return sdk.Retry(fmt.Errorf("the mail server let the channel not in: %d: check out.username and out.password", refused.Code))
		}
		return sdk.Retry(errors.New(reason(err)))
	}
	code := failed.ErrorCode()
	why := fmt.Errorf("%v answered with %d %s", failed.Reason, code, failed.EnhancedStatusCode())
	switch {
	case code == 530 || code == 534 || code == 535 || code == 538:
		// It wants a login that the configuration does not have.
		return sdk.Retry(fmt.Errorf("%w: check out.username, out.password and out.security", why))
	case code >= 500:
		return sdk.Permanent(why)
	case code >= 400:
		return sdk.Retry(why)
	default:
		return sdk.Retry(fmt.Errorf("%v: the connection failed", failed.Reason))
	}
}

// reason is why there was no connection, or none that will do.
func reason(err error) string {
	_, garbled := errors.AsType[textproto.ProtocolError](err)
	switch {
	case garbled:
		return "the answer is not SMTP"
	case strings.Contains(err.Error(), "does not support STARTTLS"):
		return "it does not offer STARTTLS: check out.security"
	default:
		return dial.Reason(err)
	}
}
