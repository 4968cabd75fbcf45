package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"mpush/sdk"
	"mpush/sdk/dial"
	"mpush/sdk/packet"
)

// settings are the channel's section of the configuration. Durations are whole
// milliseconds there.
type settings struct {
	RetryTimeout time.Duration    `json:"retryTimeout" jsonschema_extras:"x-floor=100,x-example=10000" jsonschema_description:"The first pause after a failed attempt; it doubles up to 5 minutes, or stays as it is if it is longer. Less than 100 is raised to that."`
	Timeout      time.Duration    `json:"timeout" jsonschema_extras:"x-floor=100,x-example=10000" jsonschema_description:"How long an attempt may take; less than 100 is raised to that, and more than 590000, or twice retryTimeout less 10000 if that is longer, is lowered to it. 0: as long as the pause that would follow it."`
	Proxy        dial.Proxy       `json:"proxy" jsonschema_extras:"x-example=\"http://127.0.0.1:8080\"" jsonschema_description:"The proxy for clients that name none."`
	Clients      []clientSettings `json:"clients" jsonschema_description:"The receivers."`
}

type clientSettings struct {
	Name   string `json:"name" jsonschema:"required" jsonschema_extras:"x-example=\"wh1\"" jsonschema_description:"The receiver's name, 1 to 256 bytes; each client needs its own. A websocket client that holds the name loses it at the start."`
	Group  string `json:"group" jsonschema_extras:"x-example=\"hooks\"" jsonschema_description:"Its group; empty is none."`
	URL    string `json:"url" jsonschema:"required" jsonschema_extras:"x-example=\"https://example.com/hook\"" jsonschema_description:"Where messages go: an http or https url without username and password, such as https://host.example/path. Its query is kept."`
	Method string `json:"method" jsonschema_extras:"x-example=\"GET\"" jsonschema_description:"GET or POST, in any case; POST if it is left out."`
	// {} and null are none.
	Proxy  *dial.Proxy `json:"proxy" jsonschema_extras:"x-example={}" jsonschema_description:"Replaces the proxy of the section; null or {} is none."`
	Token  *string     `json:"token" jsonschema:"writeOnly=true" jsonschema_extras:"x-example=\"another\"" jsonschema_description:"What the header authorization holds instead of the relay's token, also if it is empty. Give one to clients that need not know the relay's."`
	Secret secrets     `json:"secret" jsonschema_extras:"x-example=\"${env:WH1_SECRET}\"" jsonschema_description:"What signs the requests, by the Standard Webhooks specification: whsec_ and the base64 of 24 to 64 bytes; or two of them, while one replaces the other."`
}

const (
	leastTime = 100 * time.Millisecond
	retryMax  = 5 * time.Minute
	// sparedTime is how long before the core an attempt is given up: after twice
	// the longest pause it takes the delivery back, and nobody knows then that the
	// endpoint has failed.
	sparedTime = 10 * time.Second
)

func defaults() settings { return settings{RetryTimeout: 3 * time.Second} }

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
	if err := dropNullProxies(config, &s); err != nil {
		return err
	}
	for _, floor := range []struct {
		key   string
		value *time.Duration
		unset bool
	}{
		{"retryTimeout", &s.RetryTimeout, false},
		{"timeout", &s.Timeout, s.Timeout == 0},
	} {
		if !floor.unset && *floor.value < leastTime {
			config.Warn(floor.key, "%d ms is too short, %d ms is used", floor.value.Milliseconds(), leastTime.Milliseconds())
			*floor.value = leastTime
		}
	}
	p.policy = sdk.Policy{
		Exclusive: true,
		Acks:      true,
		Prefetch:  1,
		Retry:     s.RetryTimeout,
		RetryMax:  max(retryMax, s.RetryTimeout),
	}
	// Halved, since twice the longest pause may be more than a Duration holds.
	if half := p.policy.RetryMax - sparedTime/2; s.Timeout/2 > half {
		config.Warn("timeout", "%d ms is too long, %d ms is used", s.Timeout.Milliseconds(), (2 * half).Milliseconds())
		s.Timeout = 2 * half
	}
	p.timeout = s.Timeout
	p.order, p.clients, p.transports = nil, map[string]*client{}, map[dial.Proxy]*dial.Transport{}
	var faults []error
	index := map[string]int{}
	for i, cs := range s.Clients {
		path := "clients[" + strconv.Itoa(i) + "]"
		c, wrong := newClient(path, cs, config.MasterToken)
		faults = append(faults, wrong...)
		if first, taken := index[cs.Name]; taken && cs.Name != "" {
			faults = append(faults, sdk.Invalid(path+".name", "%q is the name of clients[%d], too: each client needs its own", cs.Name, first))
		} else {
			index[cs.Name] = i
		}
		proxy := s.Proxy
		if cs.Proxy != nil {
			proxy = *cs.Proxy
		}
		c.transport = p.transport(proxy)
		p.order = append(p.order, c)
		p.clients[c.name] = c
	}
	return errors.Join(faults...)
}

// dropNullProxies makes a client's "proxy": null mean none. Decode does not tell
// it from an absent one.
func dropNullProxies(config *sdk.Config, s *settings) error {
	var raw map[string]any
	if err := config.Decode(&raw); err != nil {
		return err
	}
	clients, _ := raw["clients"].([]any)
	for i, c := range clients {
		members, _ := c.(map[string]any)
		if value, named := members["proxy"]; named && value == nil {
			s.Clients[i].Proxy = &dial.Proxy{}
		}
	}
	return nil
}

// transport returns the one for a proxy. It does nothing until it is used.
func (p *plugin) transport(proxy dial.Proxy) *dial.Transport {
	t := p.transports[proxy]
	if t == nil {
		t = dial.NewTransport(proxy, nil)
		p.transports[proxy] = t
	}
	return t
}

// newClient checks what one client needs. It returns one in any case.
func newClient(path string, s clientSettings, masterToken string) (c *client, faults []error) {
	wrong := func(key, format string, args ...any) {
		faults = append(faults, sdk.Invalid(path+"."+key, format, args...))
	}
	c = &client{name: s.Name, group: s.Group, token: masterToken, secrets: s.Secret}
	if err := packet.CheckName("name", s.Name); err != nil {
		wrong("name", "%s", strings.TrimPrefix(err.Error(), "name: "))
	}
	if s.Group != "" {
		if err := packet.CheckName("group", s.Group); err != nil {
			wrong("group", "%s", strings.TrimPrefix(err.Error(), "group: "))
		}
	}
	var err error
	if c.url, err = readURL(s.URL); err != nil {
		wrong("url", "%v", err)
	}
	switch c.method = strings.ToUpper(s.Method); c.method {
	case "":
		c.method = http.MethodPost
	case http.MethodGet, http.MethodPost:
	default:
		wrong("method", "expected GET or POST, not %q", s.Method)
	}
	if c.method == http.MethodGet && len(s.Secret) > 0 {
		wrong("secret", "a signature covers the body, and a GET request has none: use the method POST, or no secret")
	}
	key := "token"
	if s.Token != nil {
		c.token = *s.Token
	}
	if !fitsHeader(c.token) {
		if s.Token == nil {
			wrong(key, "the relay's token holds control characters, which no header can: give this client a token of its own")
		} else {
			wrong(key, "control characters are not allowed")
		}
	}
	return c, faults
}

// fitsHeader tells whether text can be the value of a header (RFC 9110, section
// 5.5).
func fitsHeader(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 && r != '\t' || r == 0x7f })
}

// readURL checks a client's url. Errors do not cite it: it may hold keys.
func readURL(text string) (*url.URL, error) {
	const like = `such as "https://host.example/path"`
	if text == "" {
		return nil, errors.New("missing: expected a url " + like)
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("not a url " + like)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("expected a url that begins with http:// or https://, " + like)
	case u.Hostname() == "":
		return nil, errors.New("expected a url with a host, " + like)
	case u.User != nil:
		return nil, errors.New("username and password in a url are not sent, since the header authorization is the token: take them out")
	}
	if u.Port() != "" {
		if n, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("expected a port from 1 to 65535, not %s", u.Port())
		}
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}
