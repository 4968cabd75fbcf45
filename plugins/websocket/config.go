package websocket

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
	// while anybody can let itself in.
	Host string `json:"host"`
	// Port to listen on; 0 takes any free one.
	Port int `json:"port"`
	// VerifyToken asks each client for the relay's token.
	VerifyToken bool `json:"verifyToken"`
	// AuthTimeout is how long a socket may be open without AUTH, at least
	// 100 ms.
	AuthTimeout time.Duration `json:"authTimeout"`
	// RetryTimeout is after how long an unanswered message is sent again, at
	// least 100 ms.
	RetryTimeout time.Duration `json:"retryTimeout"`
	// WaitTimeout is how long a message that came by a socket waits for its
	// receivers before it is replied to, at least 500 ms.
	WaitTimeout time.Duration `json:"waitTimeout"`

	// MaxFrame is the largest frame in bytes that a client may send.
	MaxFrame int `json:"maxFrame"`
	// MaxConnections is how many sockets may be open at once; more are refused
	// with 503.
	MaxConnections int `json:"maxConnections"`
	// MaxConnectionsPerAddress is how many of them one client's address may
	// hold; more are refused with 429. 0: as many as there are.
	MaxConnectionsPerAddress int `json:"maxConnectionsPerAddress"`
	// PingInterval is after how much silence a client is pinged, at least 1 s.
	PingInterval time.Duration `json:"pingInterval"`
	// IdleTimeout is after how much silence a client counts as dead, at least
	// 120 s: some clients in the field are seldom heard of.
	IdleTimeout time.Duration `json:"idleTimeout"`
}

func defaults() settings {
	return settings{
		Port:           9094,
		VerifyToken:    true,
		AuthTimeout:    30 * time.Second,
		RetryTimeout:   3 * time.Second,
		WaitTimeout:    5 * time.Second,
		MaxFrame:       1<<20 + 64<<10, // a message of 1 MiB and its packet
		MaxConnections: 16384,
		PingInterval:   45 * time.Second,
		IdleTimeout:    150 * time.Second,

		MaxConnectionsPerAddress: 512,
	}
}

// Configure reads the section.
func (p *plugin) Configure(_ context.Context, config *sdk.Config) error {
	s := defaults()
	if err := config.Decode(&s); err != nil {
		return err
	}
	var faults []error
	if s.Port < 0 || s.Port > 65535 {
		faults = append(faults, sdk.Invalid("port", "expected a port from 0 to 65535, not %d", s.Port))
	}
	if s.MaxFrame < 1024 {
		faults = append(faults, sdk.Invalid("maxFrame", "expected at least 1024, not %d", s.MaxFrame))
	}
	if s.MaxConnections < 1 {
		faults = append(faults, sdk.Invalid("maxConnections", "expected at least 1, not %d", s.MaxConnections))
	}
	if s.MaxConnectionsPerAddress < 0 {
		faults = append(faults, sdk.Invalid("maxConnectionsPerAddress", "expected at least 0, not %d", s.MaxConnectionsPerAddress))
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	for _, floor := range []struct {
		key   string
		value *time.Duration
		least time.Duration
	}{
		{"authTimeout", &s.AuthTimeout, 100 * time.Millisecond},
		{"retryTimeout", &s.RetryTimeout, 100 * time.Millisecond},
		{"waitTimeout", &s.WaitTimeout, 500 * time.Millisecond},
		{"pingInterval", &s.PingInterval, time.Second},
		{"idleTimeout", &s.IdleTimeout, 120 * time.Second},
	} {
		if *floor.value < floor.least {
			config.Warn(floor.key, "%d ms is too short, %d ms is used", floor.value.Milliseconds(), floor.least.Milliseconds())
			*floor.value = floor.least
		}
	}
	var doors []listen.OpenDoor
	if !s.VerifyToken {
		doors = append(doors, listen.OpenDoor{Why: "verifyToken is false", Mend: "set it to true"})
	}
	s.Host = listen.Host(config, "host", s.Host, doors...)
	p.channel, p.settings, p.trusted = config.Channel, s, config.TrustedProxies
	return nil
}
