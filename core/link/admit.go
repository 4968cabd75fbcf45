package link

import (
	"mpush/core/auth"
	"mpush/sdk/pluginpb"
)

// pass is how a caller was let in. The zero value is that of nobody.
type pass struct {
	grant *auth.Grant
	epoch uint64 // of the token
	token bool   // by a token, not on the plugin's word or by a session
}

// caller is who has a command passed on.
type caller struct {
	grant  *auth.Grant // of its session
	onWord bool        // nothing but the word of a third party's plugin says who it is
}

// forbidden refuses what a grant does not allow, if it does not.
func forbidden(err error) *pluginpb.Error {
	if err == nil {
		return nil
	}
	return refusal(pluginpb.ErrorCode_ERROR_CODE_FORBIDDEN, err.Error())
}

// enter checks that a caller may get a session: by a token, or by the plugin's
// word where that counts; then, too, a right token says what it allows. An earlier
// session makes no other.
func (l *Link) enter(c *pluginpb.Credentials) (pass, *pluginpb.Error) {
	if c.GetTrusted() && l.has(pluginpb.Right_RIGHT_ACCEPT_WITHOUT_TOKEN) {
		if c.GetToken() != "" {
			if grant, epoch, right := l.Auth.Check(c.GetToken()); right {
				return pass{grant, epoch, true}, nil
			}
		}
		return pass{epoch: l.Auth.Epoch()}, nil
	}
	return l.login(c)
}

// admit checks that a caller may ask for something: as enter does, or by an
// earlier session alone. What the session allows, session tells.
func (l *Link) admit(c *pluginpb.Credentials) (pass, *pluginpb.Error) {
	if c.GetToken() == "" && c.GetAuth() != "" {
		_, problem := l.session(c)
		return pass{}, problem
	}
	return l.enter(c)
}

// session checks the caller's session. Its token must still allow its name and
// its group.
func (l *Link) session(c *pluginpb.Credentials) (auth.Session, *pluginpb.Error) {
	if c.GetAuth() == "" {
		return auth.Session{}, refusal(pluginpb.ErrorCode_ERROR_CODE_UNAUTHENTICATED, "Need Auth")
	}
	session, err := l.Auth.Verify(c.GetAuth())
	if err != nil {
		return auth.Session{}, refusal(pluginpb.ErrorCode_ERROR_CODE_UNAUTHENTICATED, "auth: "+err.Error())
	}
	return session, forbidden(session.Grant.MayBe(session.Name, session.Group))
}

// caller checks a caller that must be admitted and have a session. A token that it
// shows besides must allow the session's name as well.
func (l *Link) caller(c *pluginpb.Credentials) (auth.Session, pass, *pluginpb.Error) {
	in, problem := l.admit(c)
	if problem != nil {
		return auth.Session{}, pass{}, problem
	}
	session, problem := l.session(c)
	if problem == nil {
		problem = forbidden(in.grant.MayBe(session.Name, session.Group))
	}
	return session, in, problem
}
