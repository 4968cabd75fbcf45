package link

import (
	"math"
	"time"

	"mpush/core/guard"
	"mpush/sdk/pluginpb"
)

// maxPaused bounds the answers that wait for their pause to end. Those beyond it
// are given at once.
const maxPaused = 1024

// login checks a token, and how often its address was wrong before. An absent
// token is no guess and is not counted. What l.answer answers takes as long as a
// wrong one deserves.
func (l *Link) login(c *pluginpb.Credentials) (pass, *pluginpb.Error) {
	grant, epoch, right := l.Auth.Check(c.GetToken())
	if right || c.GetToken() != "" {
		pause, refused := l.Guard.Login(c.GetRemote(), right)
		if refused != nil {
			return pass{}, overLimit(refused)
		}
		l.pause = pause
	}
	if !right {
		return pass{}, refusal(pluginpb.ErrorCode_ERROR_CODE_UNAUTHENTICATED, "Token invalid")
	}
	return pass{grant, epoch, c.GetToken() != ""}, nil
}

// mayPublish counts a message of a caller whose credentials are good.
func (l *Link) mayPublish(c *pluginpb.Credentials, name string) *pluginpb.Error {
	if refused := l.Guard.Publish(c.GetRemote(), name); refused != nil {
		return overLimit(refused)
	}
	return nil
}

func overLimit(r *guard.Refusal) *pluginpb.Error {
	problem := refusal(pluginpb.ErrorCode_ERROR_CODE_LIMIT, r.Error())
	problem.RetryAfterMs = uint32(min(max(r.After.Milliseconds(), 1), math.MaxUint32))
	return problem
}

// answer answers what is being decoded, after the pause that login has set. The
// reader alone calls it, and goes on meanwhile.
func (l *Link) answer(env *pluginpb.CoreEnvelope) {
	if l.pause <= 0 || l.paused.Load() >= maxPaused {
		l.out.post(env)
		return
	}
	l.paused.Add(1)
	time.AfterFunc(l.pause, func() {
		l.paused.Add(-1)
		l.out.post(env) // which drops it, if the stream has ended
	})
}

// doneLater is done for a request whose credentials may have been wrong.
func (l *Link) doneLater(id uint64, problem *pluginpb.Error) {
	if id != 0 {
		l.answer(doneEnvelope(id, problem))
	}
}
