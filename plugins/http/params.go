package http

import (
	"cmp"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"mpush/sdk/packet"
)

// maxParams bounds the parameters of one request.
const maxParams = 1024

type param struct{ name, value string }

// params are the parameters of a query or a form, in order.
type params []param

// parseParams decodes name=value&name=value.
func parseParams(encoded string) (params, error) {
	var ps params
	for encoded != "" {
		var pair string
		pair, encoded, _ = strings.Cut(encoded, "&")
		if pair == "" {
			continue
		}
		if len(ps) == maxParams {
			return nil, errors.New("more than " + strconv.Itoa(maxParams) + " parameters")
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := decode(rawName)
		if err != nil {
			return nil, errors.New("the name of parameter " + strconv.Itoa(len(ps)+1) + ": " + err.Error())
		}
		value, err := decode(rawValue)
		if err != nil {
			return nil, errors.New("parameter " + strconv.Quote(name) + ": " + err.Error())
		}
		if ps == nil {
			ps = make(params, 0, 8)
		}
		ps = append(ps, param{name, value})
	}
	return ps, nil
}

func decode(s string) (string, error) {
	s, err := url.QueryUnescape(s)
	if err != nil {
		return "", errors.New("invalid percent-encoding")
	}
	if !utf8.ValidString(s) {
		return "", errors.New("not valid UTF-8")
	}
	return s, nil
}

// single returns the parameter that may be given once only.
func (ps params) single(name string) (value string, given bool, err error) {
	for _, p := range ps {
		if p.name != name {
			continue
		}
		if given {
			return "", true, errors.New("parameter " + strconv.Quote(name) + ": given more than once")
		}
		value, given = p.value, true
	}
	return value, given, nil
}

// send makes a message of the parameters: text (or title, where text is
// absent), desp, and all others as its extra.
func (ps params) send() (packet.Send, error) {
	var s packet.Send
	text, titled, err := ps.single("text")
	if err == nil && !titled {
		var title bool
		text, title, err = ps.single("title")
		if title {
			ps = ps.without("title")
		}
	}
	if err != nil {
		return s, err
	}
	s.Text = text
	if s.Desp, _, err = ps.single("desp"); err != nil {
		return s, err
	}
	s.Extra = ps.without("text", "desp").object()
	return s, nil
}

// without returns the other parameters; ps stays as it is.
func (ps params) without(names ...string) params {
	isNamed := func(p param) bool { return slices.Contains(names, p.name) }
	if !slices.ContainsFunc(ps, isNamed) {
		return ps
	}
	return slices.DeleteFunc(slices.Clone(ps), isNamed)
}

// object is the JSON object of the parameters: a string for each, an array of
// strings for one that is repeated. It is nil if there are none.
func (ps params) object() []byte {
	if len(ps) == 0 {
		return nil
	}
	// Sorted, repeated ones are neighbours: no map, and linear after that.
	ps = slices.Clone(ps)
	slices.SortStableFunc(ps, func(a, b param) int { return cmp.Compare(a.name, b.name) })
	size := 2
	for _, p := range ps {
		size += len(p.name) + len(p.value) + len(`"":"",`)
	}
	out := append(make([]byte, 0, size), '{')
	for i := 0; i < len(ps); {
		if i > 0 {
			out = append(out, ',')
		}
		out = packet.AppendString(out, ps[i].name)
		out = append(out, ':')
		n := 1
		for i+n < len(ps) && ps[i+n].name == ps[i].name {
			n++
		}
		if n == 1 {
			out = packet.AppendString(out, ps[i].value)
		} else {
			separator := byte('[')
			for _, p := range ps[i : i+n] {
				out = append(out, separator)
				out = packet.AppendString(out, p.value)
				separator = ','
			}
			out = append(out, ']')
		}
		i += n
	}
	return append(out, '}')
}
