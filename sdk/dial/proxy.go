package dial

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/invopop/jsonschema"
)

// Proxy is a proxy to call through. The zero value is none. Values are
// comparable: equal ones are the same proxy with the same credentials.
//
// In a configuration it is null, "" or {} for none; a url, whose scheme is http,
// https, socks5 or socks5h and whose userinfo holds the credentials; or an
// object {"host", "port", "auth": {"username", "password"}, "protocol"}, where
// protocol is such a scheme, http by default, and auth may be left out. Whatever
// the protocol, names are resolved by the proxy.
type Proxy struct {
	url string // in one spelling; "" is none
}

// URL returns a copy of the proxy's url with its credentials, nil for none.
func (p Proxy) URL() *url.URL {
	if p.url == "" {
		return nil
	}
	u, err := url.Parse(p.url)
	if err != nil {
		panic("dial: a proxy that was checked: " + err.Error())
	}
	return u
}

// String returns the proxy's url without credentials, for logs, "" for none.
func (p Proxy) String() string {
	u := p.URL()
	if u == nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// JSONSchema says what a configuration may hold, as far as that goes without
// citing credentials: the rest is UnmarshalJSON's.
func (Proxy) JSONSchema() *jsonschema.Schema {
	text := func(description string, secret bool) *jsonschema.Schema {
		return &jsonschema.Schema{Type: "string", Description: description, WriteOnly: secret}
	}
	auth := jsonschema.NewProperties()
	auth.Set("username", text("", false))
	auth.Set("password", text("", true))
	long := jsonschema.NewProperties()
	long.Set("host", text("a name or an address", false))
	long.Set("port", &jsonschema.Schema{Type: "integer", Minimum: "1", Maximum: "65535"})
	long.Set("protocol", text("http (the default), https, socks5 or socks5h", false))
	long.Set("auth", &jsonschema.Schema{Type: "object", Properties: auth, AdditionalProperties: jsonschema.FalseSchema})
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		text("a url, such as http://user:password@127.0.0.1:8080", true),
		{Type: "object", Properties: long, AdditionalProperties: jsonschema.FalseSchema},
	}}
}

// UnmarshalJSON reads a proxy as a configuration has it. Errors never hold
// credentials. *p is left alone where there is one.
func (p *Proxy) UnmarshalJSON(text []byte) error {
	reader := json.NewDecoder(bytes.NewReader(text))
	reader.UseNumber()
	var value any
	if err := reader.Decode(&value); err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	if _, err := reader.Token(); err != io.EOF {
		return errors.New("more than one JSON value")
	}
	var read Proxy
	var err error
	switch value := value.(type) {
	case nil:
	case string:
		read, err = fromURL(value)
	case map[string]any:
		read, err = fromObject(value)
	default:
		err = errors.New("expected a url or an object, got " + kindOf(value))
	}
	if err == nil {
		*p = read
	}
	return err
}

// fromURL reads the short form. What url.Parse complains about is not repeated:
// it cites the url.
func fromURL(text string) (Proxy, error) {
	if text == "" {
		return Proxy{}, nil
	}
	const like = `such as "http://127.0.0.1:8080"`
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return Proxy{}, errors.New("not a url " + like)
	case u.Opaque != "" || u.Hostname() == "":
		return Proxy{}, errors.New("expected a url with scheme and host, " + like)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return Proxy{}, errors.New("a proxy's url ends after host and port, " + like)
	}
	if u.Port() != "" {
		if n, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || n == 0 {
			return Proxy{}, errors.New("expected a port from 1 to 65535, not " + u.Port())
		}
	}
	return made(u.Scheme, u.Host, u.User)
}

// fromObject reads the long form. Of several faults it tells the first by name.
func fromObject(members map[string]any) (Proxy, error) {
	var host, protocol string
	var port int64
	var user *url.Userinfo
	maps.DeleteFunc(members, func(_ string, value any) bool { return value == nil })
	for _, key := range slices.Sorted(maps.Keys(members)) {
		var err error
		switch value := members[key]; key {
		case "host":
			host, err = textOf(key, value)
		case "port":
			port, err = portOf(key, value)
		case "protocol":
			protocol, err = textOf(key, value)
		case "auth":
			user, err = userOf(key, value)
		default:
			err = errors.New(key + ": unknown key")
		}
		if err != nil {
			return Proxy{}, err
		}
	}
	switch {
	case len(members) == 0:
		return Proxy{}, nil
	case host == "":
		return Proxy{}, errors.New("host: missing")
	case port == 0:
		return Proxy{}, errors.New("port: missing")
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	address := net.JoinHostPort(host, strconv.FormatInt(port, 10))
	if u, err := url.Parse("http://" + address); err != nil || u.Hostname() != host || u.Host != address || !isHost(host) {
		return Proxy{}, errors.New("host: expected a name or an address and nothing else")
	}
	if protocol == "" {
		protocol = "http"
	}
	return made(protocol, address, user)
}

// isHost: a colon stands in addresses alone.
func isHost(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil || !strings.Contains(host, ":")
}

// made checks what both forms share.
func made(scheme, host string, user *url.Userinfo) (Proxy, error) {
	scheme = strings.ToLower(scheme)
	socks := scheme == "socks5" || scheme == "socks5h"
	if !socks && scheme != "http" && scheme != "https" {
		return Proxy{}, fmt.Errorf("expected the protocol http, https, socks5 or socks5h, not %q", scheme)
	}
	name := user.Username()
	password, _ := user.Password()
	switch {
	case name == "" && password == "":
		user = nil
	case name == "":
		return Proxy{}, errors.New("a password without a username")
	case socks && (len(name) > 255 || len(password) > 255):
		return Proxy{}, errors.New("username and password of a socks5 proxy are 255 bytes at most") // RFC 1929
	case !socks && strings.Contains(name, ":"):
		return Proxy{}, errors.New("the username of an http proxy can not hold a colon") // RFC 7617
	}
	if user != nil {
		user = url.UserPassword(name, password)
	}
	u := url.URL{Scheme: scheme, User: user, Host: host}
	return Proxy{url: u.String()}, nil
}

func userOf(key string, value any) (*url.Userinfo, error) {
	members, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New(key + ": expected an object, got " + kindOf(value))
	}
	var name, password string
	for _, member := range slices.Sorted(maps.Keys(members)) {
		path, value := key+"."+member, members[member]
		var err error
		switch member {
		case "username":
			name, err = textOf(path, value)
		case "password":
			password, err = textOf(path, value)
		default:
			err = errors.New(path + ": unknown key")
		}
		if err != nil {
			return nil, err
		}
	}
	return url.UserPassword(name, password), nil
}

func textOf(path string, value any) (string, error) {
	text, ok := value.(string)
	if !ok && value != nil {
		return "", errors.New(path + ": expected a string, got " + kindOf(value))
	}
	return text, nil
}

func portOf(path string, value any) (int64, error) {
	number, ok := value.(json.Number)
	if !ok {
		return 0, errors.New(path + ": expected a number, got " + kindOf(value))
	}
	port, err := number.Int64()
	if err != nil || port < 1 || port > 65535 {
		return 0, fmt.Errorf("%s: expected a port from 1 to 65535, not %s", path, number)
	}
	return port, nil
}

// kindOf is what a value is in the words of a config file.
func kindOf(value any) string {
	switch value.(type) {
	case bool:
		return "true or false"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "a list"
	default:
		return "an object"
	}
}
