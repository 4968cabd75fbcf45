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
	// RetryTimeout is the first pause after a failed attempt, at least 100 ms.
	// Pauses double up to retryMax.
	RetryTimeout time.Duration `json:"retryTimeout"`
	// Timeout is how long an attempt may take, at least 100 ms; 0: as long as
	// the pause that would follow it.
	Timeout time.Duration `json:"timeout"`
	// Proxy is for clients that name none.
	Proxy   dial.Proxy       `json:"proxy"`
	Clients []clientSettings `json:"clients"`
}

type clientSettings struct {
	Name  string `json:"name"`
	Group string `json:"group"` // "" is none
	// URL is http or https. Its query is kept.
	URL string `json:"url"`
	// Method is GET or POST in any case; "" is POST.
	Method string `json:"method"`
	// Proxy replaces that of the section; {} or null is none.
	Proxy *dial.Proxy `json:"proxy"`
	// Token is sent instead of the relay's, also if it is "".
	Token *string `json:"token"`
	// Secret signs what is posted.
	Secret secrets `json:"secret"`
}

const (
	leastTime = 100 * time.Millisecond
	retryMax  = 5 * time.Minute
)

// Configure reads the section.
func (p *plugin) Configure(_ context.Context, config *sdk.Config) error {
	s := settings{RetryTimeout: 3 * time.Second}
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
	p.timeout = s.Timeout
	p.policy = sdk.Policy{
		Exclusive: true,
		Acks:      true,
		Prefetch:  1,
		Retry:     s.RetryTimeout,
		RetryMax:  max(retryMax, s.RetryTimeout),
	}
	p.order, p.clients, p.transports = nil, map[string]*client{}, map[dial.Proxy]*http.Transport{}
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
func (p *plugin) transport(proxy dial.Proxy) *http.Transport {
	t := p.transports[proxy]
	if t == nil {
		t = dial.Transport(proxy, nil)
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
