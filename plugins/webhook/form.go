package webhook

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"mpush/sdk"
	"mpush/sdk/packet"
)

// form is a message as its client gets it.
type form struct {
	method string
	url    *url.URL
	header http.Header
	body   []byte // nil for GET
}

// form makes the request for a message.
func (c *client) form(m *sdk.Message, now time.Time) form {
	mid := strconv.FormatInt(m.MID, 10)
	f := form{
		method: c.method,
		url:    c.url,
		header: http.Header{
			"Authorization": {c.token},
			"User-Agent":    {"mpush/" + sdk.Version},
			// An empty one is not sent: it tells net/http that the request may be
			// made again when a connection that it reused turns out to be closed.
			// A repeated message has the same mid.
			"Idempotency-Key": {},
		},
	}
	if c.method == http.MethodGet {
		f.url = withQuery(c.url, mid, m)
		return f
	}
	f.body = m.Packet()
	f.header.Set("Content-Type", "application/json")
	c.secrets.sign(f.header, mid, now, f.body)
	return f
}

// withQuery returns base with the message behind its own query: the seven fields
// of the wire, then the extra. An extra stands for none of the seven, and for no
// parameter that base has.
func withQuery(base *url.URL, mid string, m *sdk.Message) *url.URL {
	sendType := packet.Personal
	if m.SendType == sdk.Group {
		sendType = packet.Group
	}
	fields := []field{
		{"sendType", sendType},
		{"target", m.Target},
		{"fromMethod", m.FromMethod},
		{"fromName", m.FromName},
		{"mid", mid},
		{"text", m.Text},
		{"desp", m.Desp},
	}
	taken := base.Query()
	for _, f := range fields {
		taken.Set(f.name, "")
	}
	var query strings.Builder
	query.WriteString(base.RawQuery)
	for _, f := range append(fields, flatten(m.Extra, taken)...) {
		if query.Len() > 0 {
			query.WriteByte('&')
		}
		query.WriteString(escape(f.name) + "=" + escape(f.value))
	}
	u := *base
	u.RawQuery = query.String()
	return &u
}

type field struct{ name, value string }

// escape writes a space as %20, which every server reads.
func escape(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

// flatten turns an extra, a JSON object, into fields in its order: a string is
// its text, null is left out, anything else is its JSON as it was sent. Of a key
// that is given twice the last value counts.
func flatten(extra []byte, taken url.Values) []field {
	reader := json.NewDecoder(bytes.NewReader(extra))
	if start, err := reader.Token(); err != nil || start != json.Delim('{') {
		return nil
	}
	var names []string
	values := map[string]json.RawMessage{}
	for reader.More() {
		name, err := reader.Token()
		if err != nil {
			break
		}
		var value json.RawMessage
		if err := reader.Decode(&value); err != nil {
			break
		}
		key := name.(string)
		if _, again := values[key]; !again {
			names = append(names, key)
		}
		values[key] = value
	}
	fields := make([]field, 0, len(names))
	for _, name := range names {
		text, ok := plain(values[name])
		if ok && !taken.Has(name) {
			fields = append(fields, field{name, text})
		}
	}
	return fields
}

// plain is a JSON value as the text of a parameter; null is none.
func plain(value json.RawMessage) (text string, ok bool) {
	switch value[0] {
	case 'n':
		return "", false
	case '"':
		err := json.Unmarshal(value, &text)
		return text, err == nil
	default:
		var line bytes.Buffer
		err := json.Compact(&line, value)
		return line.String(), err == nil
	}
}
