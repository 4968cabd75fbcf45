package websocket

import (
	"context"
	"math"
	"time"

	"mpush/sdk"
	"mpush/sdk/listen"
)

// settings are the channel's section of the configuration. Durations are whole
// milliseconds there.
type settings struct {
	Host         string        `json:"host" jsonschema_extras:"x-example=\"192.168.1.5\"" jsonschema_description:"The address to listen on. Empty: all interfaces, but loopback only while anybody can let itself in, where web pages of elsewhere are refused."`
	Port         int           `json:"port" jsonschema:"minimum=0,maximum=65535" jsonschema_extras:"x-example=8081" jsonschema_description:"The port to listen on; 0 takes any free one. It must differ from http.port."`
	VerifyToken  bool          `json:"verifyToken" jsonschema_extras:"x-example=false" jsonschema_description:"Ask each client for the relay's token."`
	TLS          *listen.TLS   `json:"tls" jsonschema_description:"Encrypt, without a reverse proxy: the certificate to serve."`
	AuthTimeout  time.Duration `json:"authTimeout" jsonschema_extras:"x-floor=100,x-example=10000" jsonschema_description:"How long a socket may be open without AUTH; less than 100 is raised to that."`
	RetryTimeout time.Duration `json:"retryTimeout" jsonschema_extras:"x-floor=100,x-example=5000" jsonschema_description:"After how long an unanswered message is sent again, as long as the receiver is connected; less than 100 is raised to that."`
	WaitTimeout  time.Duration `json:"waitTimeout" jsonschema_extras:"x-floor=500,x-example=10000" jsonschema_description:"How long a message that came by a socket waits for its receivers before it is replied to; less than 500 is raised to that, and none waits for more than ten minutes."`

	MaxFrame                 int           `json:"maxFrame" jsonschema:"minimum=1024" jsonschema_extras:"x-example=65536,x-unit=bytes" jsonschema_description:"The largest frame that a client may send."`
	MaxConnections           int           `json:"maxConnections" jsonschema:"minimum=1" jsonschema_extras:"x-example=1000" jsonschema_description:"How many sockets may be open at once; more are refused with 503, or closed where tls is set."`
	MaxConnectionsPerAddress int           `json:"maxConnectionsPerAddress" jsonschema:"minimum=0" jsonschema_extras:"x-example=50" jsonschema_description:"How many of them one client's address may hold; more are refused with 429, or closed where tls is set. 0: as many as there are."`
	PingInterval             time.Duration `json:"pingInterval" jsonschema_extras:"x-floor=1000,x-example=30000" jsonschema_description:"After how much silence a client is pinged; less than 1000 is raised to that."`
	// Some clients in the field are seldom heard of.
	IdleTimeout time.Duration `json:"idleTimeout" jsonschema_extras:"x-floor=120000,x-example=300000" jsonschema_description:"After how much silence a client counts as dead; less than 120000, or than twice pingInterval, is raised to that."`
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

// Config tells the keys of the section.
func (p *plugin) Config() any {
	s := defaults()
	return &s
}

// Configure reads the section.
func (p *plugin) Configure(_ context.Context, config *sdk.Config) error {
	s := defaults()
	if err := config.Decode(&s); err != nil {
		return err
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
		// A dead client is one that has had time to answer a ping.
		{"idleTimeout", &s.IdleTimeout, max(120*time.Second, 2*min(s.PingInterval, math.MaxInt64/2))},
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
	named := s.Host
	s.Host = listen.Host(config, "host", named, doors...)
	// Loopback keeps others out, but not the pages that a browser here shows.
	localPages := named == "" && s.Host != ""
	if localPages {
		config.Warn("host", "only web pages of this machine are let in, for the same reason")
	}
	certificate, err := listen.Load(config, "tls", s.TLS)
	if err != nil {
		return err
	}
	p.certificate, p.localPages = certificate, localPages
	p.channel, p.settings, p.trusted = config.Channel, s, config.TrustedProxies
	return nil
}
