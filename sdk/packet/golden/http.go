package golden

import (
	"fmt"
	"net/http"
	"net/textproto"
	"strings"
)

// HTTP is an HTTP request or response as it stands in a file.
type HTTP struct {
	Line   string // the first line
	Header http.Header
	Body   string
}

// ParseHTTP reads a step that is an HTTP message. A file has no Host and no
// Content-Length in it: both depend on where and how it is sent.
func ParseHTTP(text string) (HTTP, error) {
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	message := HTTP{Line: lines[0], Header: http.Header{}, Body: body}
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ": ")
		if !ok {
			return message, fmt.Errorf("expected a header, not %q", line)
		}
		message.Header.Add(name, value)
	}
	return message, nil
}

// Raw is the message as it is sent. more are lines of its header.
func (m HTTP) Raw(more ...string) string {
	var raw strings.Builder
	raw.WriteString(m.Line + "\r\n")
	_ = m.Header.Write(&raw) // a Builder takes everything
	if m.Body != "" {
		fmt.Fprintf(&raw, "Content-Length: %d\r\n", len(m.Body))
	}
	for _, line := range more {
		raw.WriteString(line + "\r\n")
	}
	return raw.String() + "\r\n" + m.Body
}

// Status is the status code in the first line of a response, "200".
func (m HTTP) Status() string {
	_, status, _ := strings.Cut(m.Line, " ")
	status, _, _ = strings.Cut(status, " ")
	return status
}

// Compare tells whether a message has the headers that m names, with these
// values, and m's body. A header "-" must be absent.
func (m HTTP) Compare(header http.Header, body string) error {
	for name, want := range m.Header {
		got, given := header[textproto.CanonicalMIMEHeaderKey(name)]
		if want[0] == "-" {
			if given {
				return fmt.Errorf("the header %s: %s", name, strings.Join(got, ", "))
			}
			continue
		}
		if strings.Join(got, ", ") != strings.Join(want, ", ") {
			return fmt.Errorf("header %s:\n got %s\nwant %s", name, strings.Join(got, ", "), strings.Join(want, ", "))
		}
	}
	if m.Body == "" || body == "" {
		if m.Body != body {
			return fmt.Errorf("body:\n got %s\nwant %s", body, m.Body)
		}
		return nil
	}
	return Same(m.Body, body)
}
