package link

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"mpush/core/auth"
	"mpush/core/engine"
	"mpush/core/message"
	"mpush/core/record"
	"mpush/sdk/pluginpb"
)

// sendersTTL is how long the sender gives its message, in milliseconds; 0 for
// none.
func sendersTTL(extra []byte) int64 { return message.TTL(extra) }

// maxKeyBytes bounds what a sender may call a message by.
const maxKeyBytes = 256

// checkKey checks what a sender calls its message by.
func checkKey(key string) *pluginpb.Error {
	if key != "" && !message.ValidName(key) {
		return refusal(pluginpb.ErrorCode_ERROR_CODE_INVALID, fmt.Sprintf("idempotency key: it must have 1 to %d bytes and no control characters", maxKeyBytes))
	}
	return nil
}

// sendersKey makes a sender's key its own: keys of others are others, and a key
// stands for one message.
func sendersKey(p *pluginpb.Publish, from string) record.Key {
	if p.IdempotencyKey == "" {
		return record.Key{}
	}
	sender := "name " + from
	if from == "" {
		sender = "address " + p.GetCredentials().GetRemote()
	}
	sum := sha256.New()
	for _, part := range []string{p.SendType.String(), p.Target, p.Text, p.Desp, string(p.Extra)} {
		_ = binary.Write(sum, binary.BigEndian, uint64(len(part)))
		sum.Write([]byte(part))
	}
	return record.Key{Sender: sender, Name: p.IdempotencyKey, Digest: hex.EncodeToString(sum.Sum(nil)[:16])}
}

// status asks for a message's statuses: of those that the session's name has
// sent, or of all with a token that may. A client may show one text as both. If it
// is a session that does not hold any more, that is no wrong token to be counted;
// so that it is no free guess either, what has a session's form is not compared
// with any token.
func (l *Link) status(id uint64, s *pluginpb.GetStatus) engine.Event {
	event := &engine.Status{Link: l.id, Request: request(id, publishRequest), MID: message.MID(s.Mid)}
	c := s.GetCredentials()
	if session, problem := l.session(c); problem == nil {
		event.From = session.Name
		return event
	} else if c.GetToken() == "" && c.GetAuth() != "" || problem.Code == pluginpb.ErrorCode_ERROR_CODE_FORBIDDEN || auth.HasForm(c.GetToken()) {
		l.answer(publishRefused(id, problem))
		return nil
	}
	pass, problem := l.login(c)
	if problem == nil {
		problem = forbidden(pass.grant.MayOversee())
	}
	if problem != nil {
		l.answer(publishRefused(id, problem))
		return nil
	}
	event.Any = true
	return event
}

func publishRefused(id uint64, problem *pluginpb.Error) *pluginpb.CoreEnvelope {
	return &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Published{
		Published: &pluginpb.PublishResult{RequestId: id, Error: problem}}}
}
