package webpush

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/mail"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"mpush/sdk"
	"mpush/sdk/dial"
)

// settings are the channel's section of the configuration. Durations are whole
// milliseconds there.
type settings struct {
	// These two were for a service that is gone. They are accepted, and nothing is
	// done with them.
	ServerKey string `json:"serverKey" jsonschema:"writeOnly=true" jsonschema_extras:"deprecated=true" jsonschema_description:"Accepted, not needed: the service that wanted it is gone. A value is a warning."`
	APIKey    string `json:"apiKey" jsonschema:"writeOnly=true" jsonschema_extras:"deprecated=true" jsonschema_description:"Accepted, not needed, as serverKey."`

	Proxy          dial.Proxy    `json:"proxy" jsonschema_extras:"x-example=\"socks5://127.0.0.1:1080\"" jsonschema_description:"The proxy that push services are called through."`
	RetryTimeout   time.Duration `json:"retryTimeout" jsonschema_extras:"x-floor=5000,x-example=30000" jsonschema_description:"The first pause before a push is tried again, and how long a first attempt may take; it doubles up to 5 minutes, or stays as it is if it is longer. Less than 5000 is raised to that, or to 100 where allowEndpoints names a push service. A subscription keeps what held when it was registered, until its client registers it again."`
	AllowEndpoints []string      `json:"allowEndpoints" jsonschema_extras:"x-example=[\"https://push.lan:8443\"]" jsonschema_description:"Origins, such as https://push.example:8443, whose endpoints need no public host and may be http: for a push service of your own."`
	// RFC 8292, section 2.1.
	Subject string `json:"subject" jsonschema_extras:"x-example=\"admin@example.com\"" jsonschema_description:"Whom push services may contact: a mailto: or https: url, or an e-mail address. Apple's refuses a host that is not on the internet; that is a warning."`
	// RFC 8030, section 5.2.
	TTL int `json:"ttl" jsonschema:"minimum=0,maximum=2419200" jsonschema_extras:"x-example=86400,x-unit=s" jsonschema_description:"How long a push service keeps a message for a receiver that is away, up to 28 days, unless its sender gives it less with extra.ttl. What the queue keeps is limits.ttl."`
}

const (
	leastRetry        = 5 * time.Second
	leastRetryAllowed = 100 * time.Millisecond
	maxRetry          = 5 * time.Minute
)

// defaultSubject is the public page of the project that this server and its
// clients belong to. RFC 8292 lets a server leave the subject out, but push
// services in the field refuse that (Mozilla's has, Apple's does), and Apple's
// refuses what cannot be reached, such as localhost.
const defaultSubject = "https://github.com/kooritea/mpush"

func defaults() settings {
	return settings{
		RetryTimeout: 10 * time.Second,
		Subject:      defaultSubject,
		TTL:          7 * 24 * 60 * 60,
	}
}

// Config tells the keys of the section.
func (p *plugin) Config() any {
	s := defaults()
	return &s
}

// Configure reads the section, and looks at the old server's keys if there are
// any: whether they are needed shows in Declare.
func (p *plugin) Configure(_ context.Context, config *sdk.Config) error {
	s := defaults()
	if err := config.Decode(&s); err != nil {
		return err
	}
	var faults []error
	allowed := make(map[string]bool)
	for i, text := range s.AllowEndpoints {
		origin, err := parseOrigin(text)
		if err != nil {
			faults = append(faults, sdk.Invalid(fmt.Sprintf("allowEndpoints[%d]", i), "%v", err))
		}
		allowed[origin] = true
	}
	subject, err := parseSubject(config, s.Subject)
	if err != nil {
		faults = append(faults, sdk.Invalid("subject", "%v", err))
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	for _, key := range []struct{ name, value string }{{"serverKey", s.ServerKey}, {"apiKey", s.APIKey}} {
		if key.value != "" {
			config.Warn(key.name, "no longer needed: the service that wanted it is gone, web push works without it")
		}
	}
	least := leastRetry
	if len(s.AllowEndpoints) > 0 {
		least = leastRetryAllowed
	}
	if s.RetryTimeout < least {
		config.Warn("retryTimeout", "%d ms is too short, %d ms is used", s.RetryTimeout.Milliseconds(), least.Milliseconds())
		s.RetryTimeout = least
	}
	if p.old = readOldKeys(os.Getenv(OldKeysVariable)); p.old.err != nil {
		config.Warn("", "%v: unless the channel has keys already, it will not start", p.old.err)
	}
	s.Subject = subject
	p.settings = s
	p.door = door{allowed: allowed, proxied: s.Proxy != dial.Proxy{}, resolver: p.resolver, lookups: make(chan struct{}, maxLookups)}
	p.guarded, p.open = p.clients()
	return nil
}

// clients makes the clients for endpoints at large and for allowed ones.
func (p *plugin) clients() (guarded, open *http.Client) {
	check := control(dial.PublicOnly)
	if p.door.proxied {
		check = nil // it would see the proxy, which the operator chose
	}
	client := func(check control) *http.Client {
		return &http.Client{
			Transport: p.transport(p.settings.Proxy, check),
			// A redirect would lead past the checks; push services have none.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return client(check), client(nil)
}

// parseSubject returns the subject as webpush-go wants it, which puts mailto:
// before whatever does not begin with https:. A host that no push service could
// reach is worth a warning.
func parseSubject(config *sdk.Config, text string) (string, error) {
	scheme, rest, found := strings.Cut(text, ":")
	if text == "" {
		return defaultSubject, nil
	}
	if strings.EqualFold(scheme, "https") {
		u, err := url.Parse(text)
		if err != nil || u.Hostname() == "" || u.User != nil {
			return "", errors.New("expected a url such as https://example.com/contact")
		}
		warnOfSubject(config, u.Hostname())
		return "https:" + rest, nil
	}
	address := text
	if found && strings.EqualFold(scheme, "mailto") {
		address = rest
	}
	parsed, err := mail.ParseAddress(address)
	if err != nil || parsed.Address != address {
		return "", errors.New("expected an e-mail address, or a mailto: or https: url")
	}
	warnOfSubject(config, address[strings.LastIndexByte(address, '@')+1:])
	return address, nil
}

// warnOfSubject names domains that are set aside for tests and local use (RFC
// 2606, RFC 6761, RFC 6762).
func warnOfSubject(config *sdk.Config, host string) {
	labels := strings.Split(strings.ToLower(strings.TrimSuffix(host, ".")), ".")
	last := labels[len(labels)-1]
	if len(labels) == 1 || slices.Contains([]string{"localhost", "local", "internal", "invalid", "test", "example"}, last) {
		config.Warn("subject", "%q is no host on the internet: Apple's push service will refuse every push with 403", host)
	}
}
