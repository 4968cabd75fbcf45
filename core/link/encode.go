package link

import (
	"errors"

	"mpush/core/auth"
	"mpush/core/engine"
	"mpush/sdk/pluginpb"
)

func refusal(code pluginpb.ErrorCode, text string) *pluginpb.Error {
	return &pluginpb.Error{Code: code, Message: text}
}

// done answers a request that yields nothing; one without an id wants none.
func (l *Link) done(id uint64, problem *pluginpb.Error) {
	if id != 0 {
		l.out.post(doneEnvelope(id, problem))
	}
}

func doneEnvelope(id uint64, problem *pluginpb.Error) *pluginpb.CoreEnvelope {
	return &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Done{Done: &pluginpb.Done{RequestId: id, Error: problem}}}
}

func (l *Link) answerCommand(id uint64, info string, problem *pluginpb.Error) {
	l.out.post(commandResult(id, info, problem))
}

func commandResult(id uint64, info string, problem *pluginpb.Error) *pluginpb.CoreEnvelope {
	return &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_CommandResult{
		CommandResult: &pluginpb.CommandResult{RequestId: id, Info: info, Error: problem},
	}}
}

func sessionResult(result *pluginpb.SessionResult) *pluginpb.CoreEnvelope {
	return &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Session{Session: result}}
}

func stateResult(id uint64, entries map[string][]byte, err error) *pluginpb.CoreEnvelope {
	result := &pluginpb.StateResult{RequestId: id, Entries: entries}
	if err != nil {
		result.Error = refusal(pluginpb.ErrorCode_ERROR_CODE_UNAVAILABLE, err.Error())
	}
	return &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_State{State: result}}
}

// newSession makes the session of a name that was authenticated in an epoch.
func (l *Link) newSession(id, epoch uint64, name, group string) *pluginpb.SessionResult {
	token, err := l.Auth.IssueIn(epoch, name, group)
	if errors.Is(err, auth.ErrEpoch) {
		return &pluginpb.SessionResult{RequestId: id, Error: refusal(pluginpb.ErrorCode_ERROR_CODE_UNAVAILABLE, err.Error())}
	}
	if err != nil {
		return &pluginpb.SessionResult{RequestId: id, Error: refusal(pluginpb.ErrorCode_ERROR_CODE_INVALID, err.Error())}
	}
	return &pluginpb.SessionResult{RequestId: id, Auth: token, Announcements: l.Switchboard.announced()}
}

// encodeAnswer turns the engine's answer into an envelope. It also notices the
// answer to Declare, which the start of the channel waits for.
func (l *Link) encodeAnswer(a *engine.Answer) *pluginpb.CoreEnvelope {
	id := a.Request.Number
	switch body := a.Body.(type) {
	case engine.Published:
		result := &pluginpb.PublishResult{RequestId: id, Mid: int64(body.MID), Statuses: make([]*pluginpb.ReceiverStatus, len(body.Statuses))}
		for i, s := range body.Statuses {
			result.Statuses[i] = &pluginpb.ReceiverStatus{Receiver: s.Receiver, Status: s.Status.String()}
		}
		return &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Published{Published: result}}
	case engine.Attached:
		result := l.newSession(id, body.Epoch, body.Name, body.Group)
		if result.Error == nil { // else an eviction is about to follow
			result.Generation = body.Generation
		}
		return sessionResult(result)
	case *engine.Refusal:
		if a.Request.Kind == declareRequest {
			l.refuseRoutes(body.Message)
		} else if body.Code == engine.NameInUse {
			l.Conduct.note(TakenName)
		}
		return encodeRefusal(a.Request, body)
	default:
		if a.Request.Kind == declareRequest {
			l.Declared()
		}
		return doneEnvelope(id, nil)
	}
}

// refuseRoutes ends the stream, with why the plugin's configured routes can not be
// had.
func (l *Link) refuseRoutes(why string) {
	select {
	case l.refused <- why:
	default:
	}
}

// encodeRefusal answers with the kind of envelope that the request expects.
func encodeRefusal(request engine.RequestID, r *engine.Refusal) *pluginpb.CoreEnvelope {
	problem := refusal(code(r.Code), r.Message)
	id := request.Number
	switch request.Kind {
	case publishRequest:
		return &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Published{Published: &pluginpb.PublishResult{RequestId: id, Error: problem}}}
	case attachRequest:
		return sessionResult(&pluginpb.SessionResult{RequestId: id, Error: problem})
	default:
		return doneEnvelope(id, problem)
	}
}

func code(c engine.Code) pluginpb.ErrorCode {
	switch c {
	case engine.Invalid:
		return pluginpb.ErrorCode_ERROR_CODE_INVALID
	case engine.NameInUse:
		return pluginpb.ErrorCode_ERROR_CODE_NAME_IN_USE
	case engine.Limit:
		return pluginpb.ErrorCode_ERROR_CODE_LIMIT
	case engine.NotFound:
		return pluginpb.ErrorCode_ERROR_CODE_NOT_FOUND
	case engine.TooLarge:
		return pluginpb.ErrorCode_ERROR_CODE_TOO_LARGE
	default:
		return pluginpb.ErrorCode_ERROR_CODE_UNAVAILABLE
	}
}

func evictCause(c engine.EvictCause) pluginpb.EvictCause {
	switch c {
	case engine.TakenOver:
		return pluginpb.EvictCause_EVICT_CAUSE_TAKEN_OVER
	case engine.Configured:
		return pluginpb.EvictCause_EVICT_CAUSE_CONFIGURED
	case engine.Forgotten:
		return pluginpb.EvictCause_EVICT_CAUSE_FORGOTTEN
	case engine.TokenEnded:
		return pluginpb.EvictCause_EVICT_CAUSE_TOKEN_ENDED
	default:
		return pluginpb.EvictCause_EVICT_CAUSE_UNSPECIFIED
	}
}

// countRefused has a message counted that was refused here.
func (l *Link) countRefused(problem *pluginpb.Error) {
	if l.Refused == nil {
		return
	}
	switch problem.Code {
	case pluginpb.ErrorCode_ERROR_CODE_UNAUTHENTICATED:
		l.Refused(engine.RefusedUnauthenticated)
	case pluginpb.ErrorCode_ERROR_CODE_FORBIDDEN:
		l.Refused(engine.RefusedForbidden)
	case pluginpb.ErrorCode_ERROR_CODE_LIMIT:
		l.Refused(engine.RefusedLimit)
	case pluginpb.ErrorCode_ERROR_CODE_UNAVAILABLE:
		l.Refused(engine.RefusedUnavailable)
	default:
		l.Refused(engine.RefusedInvalid)
	}
}
