package http

import (
	"context"
	"errors"
	"time"

	"mpush/sdk"
	"mpush/sdk/listen"
)

// settings are the channel's section of the configuration. Durations are whole
// milliseconds there.
type settings struct {
	// Host is the address to listen on. "": all interfaces, but loopback only
	// while the relay's token is weak.
	Host string `json:"host"`
	// Port to listen on; 0 takes any free one.
	Port int `json:"port"`
	// VerifyToken asks every request for the relay's token.
	VerifyToken bool `json:"verifyToken"`
	// WaitTimeout is how long a send waits for its receivers, at least 500 ms.
	WaitTimeout time.Duration `json:"waitTimeout"`
	// CORS lets web pages of other origins send.
	CORS bool `json:"cors"`

	// MaxBody is the largest body in bytes.
	MaxBody int `json:"maxBody"`
	// MaxConnections is how many connections may be open at once; more are
	// refused with 503.
	MaxConnections int `json:"maxConnections"`
	// MaxConnectionsPerAddress is how many of them one client's address may
	// hold, or how many requests may be under way for it if it is behind a
	// proxy; more are refused with 429. 0: as many as there are.
	MaxConnectionsPerAddress int `json:"maxConnectionsPerAddress"`
	// HeaderTimeout is how long a request's header may take to arrive.
	HeaderTimeout time.Duration `json:"headerTimeout"`
	// ReadTimeout is how long a whole request may take to arrive.
	ReadTimeout time.Duration `json:"readTimeout"`
	// IdleTimeout is how long a connection is kept between requests.
	IdleTimeout time.Duration `json:"idleTimeout"`
}

func defaults() settings {
	return settings{
		Port:           9093,
		WaitTimeout:    5 * time.Second,
		CORS:           true,
		MaxBody:        1 << 20,
		MaxConnections: 4096,
		HeaderTimeout:  10 * time.Second,
		ReadTimeout:    30 * time.Second,
		IdleTimeout:    75 * time.Second,

		MaxConnectionsPerAddress: 256,
	}
}

const minWaitTimeout = 500 * time.Millisecond

// Configure reads the section.
func (p *plugin) Configure(_ context.Context, config *sdk.Config) error {
	s := defaults()
	if err := config.Decode(&s); err != nil {
		return err
	}
	var faults []error
	fault := func(key, format string, args ...any) {
		faults = append(faults, sdk.Invalid(key, format, args...))
	}
	if s.Port < 0 || s.Port > 65535 {
		fault("port", "expected a port from 0 to 65535, not %d", s.Port)
	}
	for _, limit := range []struct {
		key   string
		value int
		least int
	}{
		{"maxBody", s.MaxBody, 1024},
		{"maxConnections", s.MaxConnections, 1},
		{"maxConnectionsPerAddress", s.MaxConnectionsPerAddress, 0},
		{"headerTimeout", int(s.HeaderTimeout.Milliseconds()), 100},
		{"readTimeout", int(s.ReadTimeout.Milliseconds()), 100},
		{"idleTimeout", int(s.IdleTimeout.Milliseconds()), 100},
	} {
		if limit.value < limit.least {
			fault(limit.key, "expected at least %d, not %d", limit.least, limit.value)
		}
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	if s.WaitTimeout < minWaitTimeout {
		config.Warn("waitTimeout", "%d ms is too short, %d ms is used", s.WaitTimeout.Milliseconds(), minWaitTimeout.Milliseconds())
		s.WaitTimeout = minWaitTimeout
	}
	s.Host = listen.Host(config, "host", s.Host)
	p.channel, p.settings, p.trusted = config.Channel, s, config.TrustedProxies
	return nil
}
