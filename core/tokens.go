package core

import (
	"context"
	"slices"
	"time"

	"mpush/core/auth"
	"mpush/core/config"
	"mpush/core/engine"
)

// tokensOf are the tokens beside the single one, nil if the configuration knows none.
func tokensOf(cfg *config.Config) []auth.Token {
	if cfg.Tokens == nil {
		return nil
	}
	tokens := []auth.Token{}
	for _, t := range cfg.Tokens {
		token := auth.Token{
			Name: t.Name, Sum: t.Sum, Receivers: scopeOf(t.Receivers), Targets: scopeOf(t.Targets), Expires: t.Expires,
		}
		for word, right := range map[string]auth.Rights{
			config.MaySend: auth.Send, config.MayReceive: auth.Receive, config.MayAdmin: auth.Admin,
		} {
			if slices.Contains(t.Rights, word) {
				token.Rights |= right
			}
		}
		tokens = append(tokens, token)
	}
	return tokens
}

// reconfigure tells the engine of a configuration, and of the tokens that hold.
func (c *Core) reconfigure(cfg *config.Config) *engine.Reconfigure {
	newest, holding := c.auth.Epochs()
	return &engine.Reconfigure{Config: engineConfig(cfg), Channels: enabled(cfg), Epoch: newest, Holding: holding}
}

// expiryEvery is how late the connections of a token that expires may be closed.
// It lets nobody in any more meanwhile.
const expiryEvery = time.Second

// watchTokens closes the connections of tokens that expire.
func (c *Core) watchTokens(ctx context.Context) {
	tick := time.NewTicker(expiryEvery)
	defer tick.Stop()
	_, before := c.auth.Epochs()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now, err := c.expire(ctx, before)
		if err != nil {
			return
		}
		before = now
	}
}

// expire tells the engine which tokens hold now, if others held before. A reload
// does so by itself, but not before it has checked everything.
func (c *Core) expire(ctx context.Context, before []uint64) (now []uint64, err error) {
	c.applying.Lock()
	defer c.applying.Unlock()
	_, now = c.auth.Epochs()
	if !slices.Equal(before, now) {
		err = c.relay.Submit(ctx, c.reconfigure(c.inForce()))
	}
	return now, err
}

// lendTime is how long a lent token lets its receiver log in: it asks for another
// when it has to come again.
const lendTime = 5 * time.Minute

func (c *Core) lend(name, group string) (string, error) { return c.auth.Lend(name, group, lendTime) }
