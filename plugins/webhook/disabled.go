package webhook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"mpush/sdk"
)

// disabledPrefix begins the keys of the channel's state. The rest is a hash of
// the client's name, which alone might be longer than a key may be.
const disabledPrefix = "disabled/"

// disabledNote is what is kept of a client that answered 410.
type disabledNote struct {
	Name string `json:"name"`
	// Endpoint is a hash of method and url: another url is another endpoint. It
	// is none of the url itself, which may hold keys.
	Endpoint string `json:"endpoint"`
}

func (c *client) note() disabledNote {
	return disabledNote{Name: c.name, Endpoint: hash(c.method + " " + c.url.String())}
}

func (c *client) disabledKey() string { return disabledPrefix + hash(c.name) }

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// howToEnable is for the log.
const howToEnable = "change its url, or start once without it"

// A message for a disabled client waits, a day at a time, until the operator
// enables it or the message expires.
const disabledPause = 24 * time.Hour

var errDisabled = errors.New("disabled, since its endpoint answered 410 Gone")

// disable sends no more to a client whose endpoint is gone (RFC 9110, section
// 15.5.11), until the operator enables it again.
func (p *plugin) disable(ctx context.Context, c *client, d *sdk.Delivery) {
	c.status.disable()
	text, err := json.Marshal(c.note())
	if err == nil {
		err = p.host.SetState(ctx, c.disabledKey(), text)
	}
	slog.Warn("client disabled, its endpoint answered 410 Gone", "channel", p.host.Channel(), "receiver", c.name,
		"mid", d.Message.MID, "attempt", d.Attempt, "toEnable", howToEnable)
	if err != nil {
		slog.Warn("disabled client not noted, it will be asked again after the next start", "channel", p.host.Channel(),
			"receiver", c.name, "err", err)
	}
}

// readDisabled finds the clients that are disabled since an earlier life, and
// forgets those that have another url now, or have left the configuration.
func (p *plugin) readDisabled(ctx context.Context) error {
	entries, err := p.host.State(ctx, disabledPrefix)
	if err != nil {
		return fmt.Errorf("webhook: read which clients are disabled: %w", err)
	}
	for key, text := range entries {
		var note disabledNote
		if err := json.Unmarshal(text, &note); err == nil {
			if c := p.clients[note.Name]; c != nil && c.disabledKey() == key && c.note() == note {
				c.status.disable()
				slog.Warn("client is disabled, its endpoint answered 410 Gone earlier", "channel", p.host.Channel(),
					"receiver", c.name, "toEnable", howToEnable)
				continue
			}
		}
		if err := p.host.SetState(ctx, key, nil); err != nil {
			return fmt.Errorf("webhook: forget a disabled client: %w", err)
		}
	}
	return nil
}
