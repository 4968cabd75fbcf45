package webhook

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

const maxRedirects = 5

// send makes the request and follows redirects; redirects tells how many. Where
// err is nil the answer's body must be discarded.
//
// It does what an http.Client does, but for these: a message is never lost to a
// POST that becomes a GET, the token stays with its host and port instead of
// going along to subdomains, and no Referer tells a stranger the message that a
// url holds.
func (c *client) send(ctx context.Context, f form) (answer *http.Response, redirects int, err error) {
	at := f.url
	for {
		request, err := http.NewRequestWithContext(ctx, f.method, at.String(), bytes.NewReader(f.body))
		if err != nil {
			return nil, redirects, &refusal{"the url can not be asked for"}
		}
		request.Header = f.header.Clone()
		answer, err := c.transport.RoundTrip(request)
		if err != nil {
			return nil, redirects, err
		}
		next, err := follow(f.method, at, answer)
		if err == nil && next == nil {
			return answer, redirects, nil
		}
		discard(answer)
		if err != nil {
			return nil, redirects, err
		}
		if redirects == maxRedirects {
			return nil, redirects, &refusal{fmt.Sprintf("more than %d redirects", maxRedirects)}
		}
		redirects++
		if !sameHost(at, next) {
			f.header.Del("Authorization") // for good
		}
		at = next
	}
}

// refusal is a failure in words of ours, which may be logged.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

// follow returns where answer redirects to, nil if it is final.
func follow(method string, at *url.URL, answer *http.Response) (*url.URL, error) {
	code := answer.StatusCode
	switch code {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther:
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, nil
	}
	location := answer.Header.Get("Location")
	if location == "" {
		return nil, nil
	}
	next, err := at.Parse(location)
	if err != nil || next.Scheme != "http" && next.Scheme != "https" || next.Hostname() == "" {
		return nil, &refusal{fmt.Sprintf("answered %d, a redirect to something else than an http url", code)}
	}
	next.User, next.Fragment, next.RawFragment = nil, "", ""
	if method == http.MethodPost && code < http.StatusTemporaryRedirect {
		return nil, &refusal{fmt.Sprintf("answered %d, a redirect that would lose what is posted (only 307 and 308 keep it), to %s: "+
			"configure the url that it leads to", code, hostFor(at, next))}
	}
	return next, nil
}

// hostFor names next as far as it is known already: where a redirect leads is
// the endpoint's own text.
func hostFor(at, next *url.URL) string {
	if !strings.EqualFold(at.Hostname(), next.Hostname()) {
		return "another host"
	}
	return next.Scheme + "://" + strings.ToLower(next.Host)
}

// sameHost tells whether what may go to at may go to next, too: name and port
// are the same, or it is the same name by https instead of http on their usual
// ports. What came by https never goes on by http.
func sameHost(at, next *url.URL) bool {
	if !strings.EqualFold(at.Hostname(), next.Hostname()) || at.Scheme == "https" && next.Scheme != "https" {
		return false
	}
	from, to := port(at), port(next)
	return from == to || from == "80" && to == "443" && at.Scheme == "http" && next.Scheme == "https"
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}
