package sdk

import (
	"errors"
	"fmt"
	"time"

	"mpush/sdk/pluginpb"
)

// HandedOff is what Deliver returns when somebody else's service has taken the
// message. It is an outcome, not a failure.
//
//lint:ignore ST1012 it is no error, whatever its type
var HandedOff = errors.New("handed off")

// outcomeError is an error with the class that the core acts upon.
type outcomeError struct {
	kind  pluginpb.OutcomeKind
	after time.Duration
	err   error
}

func (e *outcomeError) Error() string {
	if e.err == nil { // nothing to say beyond the class
		return "no reason given"
	}
	return e.err.Error()
}

func (e *outcomeError) Unwrap() error { return e.err }

// Retry marks err as passing: deliver again after the route's pause.
func Retry(err error) error {
	return &outcomeError{kind: pluginpb.OutcomeKind_OUTCOME_KIND_RETRY, err: err}
}

// RetryAfter marks err as passing: deliver again, but not before after, which is
// rounded up to whole milliseconds. 0 or less is as Retry.
func RetryAfter(after time.Duration, err error) error {
	return &outcomeError{kind: pluginpb.OutcomeKind_OUTCOME_KIND_RETRY, after: after, err: err}
}

// Permanent marks err as final for this message: it becomes a dead letter.
func Permanent(err error) error {
	return &outcomeError{kind: pluginpb.OutcomeKind_OUTCOME_KIND_REJECTED, err: err}
}

// Gone marks err as the end of the route: the core drops it.
func Gone(err error) error {
	return &outcomeError{kind: pluginpb.OutcomeKind_OUTCOME_KIND_GONE, err: err}
}

// Code classifies a refusal.
type Code = pluginpb.ErrorCode

const (
	// CodeInvalid: malformed or out of range.
	CodeInvalid = pluginpb.ErrorCode_ERROR_CODE_INVALID
	// CodeUnauthenticated: the token or the session is missing or wrong.
	CodeUnauthenticated = pluginpb.ErrorCode_ERROR_CODE_UNAUTHENTICATED
	// CodeForbidden: the caller is known, but may not.
	CodeForbidden = pluginpb.ErrorCode_ERROR_CODE_FORBIDDEN
	// CodeNameInUse: another exclusive channel holds the name.
	CodeNameInUse = pluginpb.ErrorCode_ERROR_CODE_NAME_IN_USE
	// CodeUnknownCommand: no channel claims the command.
	CodeUnknownCommand = pluginpb.ErrorCode_ERROR_CODE_UNKNOWN_COMMAND
	// CodeLimit: a limit is reached; the message names it. See Error.RetryAfter.
	CodeLimit = pluginpb.ErrorCode_ERROR_CODE_LIMIT
	// CodeUnavailable: not now, since something starts or stops, or the disk is
	// full. The same may be asked again.
	CodeUnavailable = pluginpb.ErrorCode_ERROR_CODE_UNAVAILABLE
	// CodeTooLarge: over the limit of a message or a frame.
	CodeTooLarge = pluginpb.ErrorCode_ERROR_CODE_TOO_LARGE
	// CodeNotFound: there is no such message, or it is not the caller's.
	CodeNotFound = pluginpb.ErrorCode_ERROR_CODE_NOT_FOUND
)

// ErrUnanswered is what a Host call returns when the core went away after it was
// asked: what was asked for may have been done or not. It is not a refusal; who
// waits for the answer must not be told that nothing has happened.
var ErrUnanswered = errors.New("the core went away without an answer")

// Error is the core's refusal of a request, or a plugin's of a command.
type Error struct {
	// Code says what kind of refusal it is.
	Code Code
	// Message is for people, without secrets; of a plugin's at most 1 KiB is kept.
	Message string
	// RetryAfter is after how long a client that met a rate limit (CodeLimit)
	// may ask again. 0: time alone does not help, or nobody knows.
	RetryAfter time.Duration
}

func (e *Error) Error() string { return e.Message }

// CodeOf returns the code of the *Error in err's chain, else CodeUnavailable:
// a request that got no answer may be tried again.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeUnavailable
}

// Invalidity is one thing that is wrong with a configuration.
type Invalidity struct {
	Path    string // the key within the section, "clients[0].url"
	Message string // what is wrong and what was expected, without the path
}

func (i *Invalidity) Error() string {
	if i.Path == "" {
		return i.Message
	}
	return i.Path + ": " + i.Message
}

// Invalid reports one fault of a configuration at a key path.
func Invalid(path, format string, args ...any) error {
	return &Invalidity{Path: path, Message: fmt.Sprintf(format, args...)}
}
