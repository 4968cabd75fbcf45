package http

import (
	"context"
	"time"

	"mpush/sdk"
	"mpush/sdk/listen"
)

// settings are the channel's section of the configuration. Durations are whole
// milliseconds there.
type settings struct {
	Host        string        `json:"host" jsonschema_extras:"x-example=\"192.168.1.5\"" jsonschema_description:"The address to listen on. Empty: all interfaces, but loopback only while the relay's token is weak. One that is named is obeyed, with a warning then."`
	Port        int           `json:"port" jsonschema:"minimum=0,maximum=65535" jsonschema_extras:"x-example=8080" jsonschema_description:"The port to listen on; 0 takes any free one."`
	VerifyToken bool          `json:"verifyToken" jsonschema_extras:"x-example=true" jsonschema_description:"Ask every request for the relay's token, in the header authorization."`
	WaitTimeout time.Duration `json:"waitTimeout" jsonschema_extras:"x-floor=500,x-example=10000" jsonschema_description:"How long a send waits for its receivers; less than 500 is raised to that, and no send waits for more than ten minutes."`
	TLS         *listen.TLS   `json:"tls" jsonschema_description:"Encrypt, without a reverse proxy: the certificate to serve."`
	CORS        bool          `json:"cors" jsonschema_extras:"x-example=false" jsonschema_description:"Let web pages of other origins send."`

	MaxBody                  int           `json:"maxBody" jsonschema:"minimum=1024" jsonschema_extras:"x-example=65536,x-unit=bytes" jsonschema_description:"The largest body of a request."`
	MaxConnections           int           `json:"maxConnections" jsonschema:"minimum=1" jsonschema_extras:"x-example=100" jsonschema_description:"How many connections may be open at once; more are refused with 503, or closed where tls is set."`
	MaxConnectionsPerAddress int           `json:"maxConnectionsPerAddress" jsonschema:"minimum=0" jsonschema_extras:"x-example=20" jsonschema_description:"How many of them one client's address may hold, or how many requests may be under way for it if it is behind a proxy; more are refused with 429, or closed where tls is set. 0: as many as there are."`
	HeaderTimeout            time.Duration `json:"headerTimeout" jsonschema:"minimum=100" jsonschema_extras:"x-example=5000" jsonschema_description:"How long a request's header may take to arrive."`
	ReadTimeout              time.Duration `json:"readTimeout" jsonschema:"minimum=100" jsonschema_extras:"x-example=10000" jsonschema_description:"How long a whole request may take to arrive."`
	IdleTimeout              time.Duration `json:"idleTimeout" jsonschema:"minimum=100" jsonschema_extras:"x-example=60000" jsonschema_description:"How long a connection is kept between requests."`
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
	if s.WaitTimeout < minWaitTimeout {
		config.Warn("waitTimeout", "%d ms is too short, %d ms is used", s.WaitTimeout.Milliseconds(), minWaitTimeout.Milliseconds())
		s.WaitTimeout = minWaitTimeout
	}
	s.Host = listen.Host(config, "host", s.Host)
	certificate, err := listen.Load(config, "tls", s.TLS)
	if err != nil {
		return err
	}
	p.certificate = certificate
	p.channel, p.settings, p.trusted = config.Channel, s, config.TrustedProxies
	return nil
}
