package main

import (
	"errors"

	"github.com/emersion/go-smtp"

	"mpush/sdk"
)

// What a mail's sender is told (RFC 5321, RFC 3463): 4xx is "send again", 5xx is
// "do not".

func reply(code int, class, subject, detail int, text string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{class, subject, detail}, Message: text}
}

var (
	errAuthRequired = reply(530, 5, 7, 0, "authentication required: the relay's token is the password")
	errNotHere      = reply(550, 5, 7, 1, "no such domain here")
	errStopping     = reply(421, 4, 3, 2, "the relay is stopping")
	errSilent       = reply(451, 4, 4, 2, "nothing came for too long")
	errLoop         = reply(554, 5, 4, 6, "this mail was made of a message: it would go round")
)

// refusalOf is what becomes of a mail for one recipient, nil if it is on disk.
func refusalOf(published sdk.Published, err error) *smtp.SMTPError {
	if err == nil {
		switch {
		case published.MID != 0:
			return nil
		case len(published.Statuses) > 0 && published.Statuses[0].Status == "full":
			return reply(452, 4, 2, 2, "the queue is full")
		default:
			return reply(550, 5, 1, 1, "no such receiver")
		}
	}
	refused, ok := errors.AsType[*sdk.Error](err)
	if !ok { // it may be on disk or not: sent again, it is not there twice
		return reply(451, 4, 3, 0, "the relay does not answer, send again")
	}
	switch refused.Code {
	case sdk.CodeInvalid, sdk.CodeUnknownCommand, sdk.CodeNameInUse:
		return reply(554, 5, 6, 0, refused.Message)
	case sdk.CodeUnauthenticated:
		return reply(535, 5, 7, 8, refused.Message)
	case sdk.CodeForbidden:
		return reply(550, 5, 7, 1, refused.Message)
	case sdk.CodeTooLarge:
		return reply(552, 5, 3, 4, refused.Message)
	case sdk.CodeNotFound:
		return reply(550, 5, 1, 1, refused.Message)
	case sdk.CodeLimit:
		return reply(451, 4, 7, 1, refused.Message)
	default:
		return reply(451, 4, 3, 0, refused.Message)
	}
}

// authRefusal tells a wrong token from a relay that can not look.
func authRefusal(err error) *smtp.SMTPError {
	if sdk.CodeOf(err) == sdk.CodeUnauthenticated {
		return reply(535, 5, 7, 8, "the password must be a token of the relay")
	}
	return reply(454, 4, 7, 0, "the token can not be checked now")
}

// transferRefusal is for a mail that did not come whole, err being what was read
// at its end.
func transferRefusal(err error) *smtp.SMTPError {
	if refused, ok := errors.AsType[*smtp.SMTPError](err); ok {
		return refused // too large, or silent for too long
	}
	if errors.Is(err, smtp.ErrTooLongLine) {
		return reply(554, 5, 6, 0, "a line of the mail is too long")
	}
	return reply(451, 4, 4, 2, "the mail did not come whole, send again")
}

// parseRefusal is for a mail that can not be a message.
func parseRefusal(err error) *smtp.SMTPError {
	if errors.Is(err, errTextTooLong) {
		return reply(552, 5, 3, 4, err.Error())
	}
	return reply(554, 5, 6, 0, "the mail can not be read: "+err.Error())
}
