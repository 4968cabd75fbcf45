package webhook

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

// redirecting answers a path like "/308/next" by a redirect to what locations
// has for "next", and every other with 204. What "next" is must be known by the
// time of the first request.
func redirecting(locations map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		parts := strings.SplitN(r.URL.Path, "/", 3)
		code, err := strconv.Atoi(parts[1])
		if err != nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Location", locations[parts[2]])
		w.WriteHeader(code)
	}
}

func TestRedirectsKeepTheMessage(t *testing.T) {
	for _, test := range []struct {
		method   string
		code     int
		followed bool
	}{
		{"GET", 301, true}, {"GET", 302, true}, {"GET", 303, true}, {"GET", 307, true}, {"GET", 308, true},
		{"POST", 301, false}, {"POST", 302, false}, {"POST", 303, false}, {"POST", 307, true}, {"POST", 308, true},
		{"GET", 300, false}, {"GET", 304, false}, {"GET", 305, false}, {"POST", 306, false},
	} {
		t.Run(fmt.Sprint(test.method, " ", test.code), func(t *testing.T) {
			e := listen(t, redirecting(map[string]string{"next": "/end?x=1#part"}))
			b := start(t, clientsOf(clientOf("wh1", fmt.Sprintf("%s/%d/next", e.URL, test.code), `"method":"`+test.method+`"`, `"secret":`+
				map[string]string{"GET": "null", "POST": `"` + secretA + `"`}[test.method])), plugintest.Options{})
			b.Deliver("wh1", &pluginpb.Message{Text: private})
			first := e.next(t)
			if !test.followed {
				b.expect(t, retry)
				e.quiet(t)
				return
			}
			b.expect(t, acked)
			second := e.next(t)
			if second.method != test.method || second.uri != "/end?x=1" || second.body != first.body || headersOf(second.header) != headersOf(first.header) {
				t.Errorf("first  %v\nsecond %v", first, second)
			}
			e.quiet(t)
		})
	}
}

func TestPostThatWouldBecomeAGetIsExplained(t *testing.T) {
	locations := map[string]string{}
	e := listen(t, redirecting(locations))
	locations["same"] = e.URL + "/elsewhere?key=" + private
	locations["other"] = "https://" + private + ".example/"
	b := start(t, clientsOf(clientOf("same", e.URL+"/301/same"), clientOf("other", e.URL+"/303/other")), plugintest.Options{})
	for name, want := range map[string]string{
		"same":  "answered 301, a redirect that would lose what is posted (only 307 and 308 keep it), to " + e.URL + ": configure the url that it leads to",
		"other": "answered 303, a redirect that would lose what is posted (only 307 and 308 keep it), to another host: configure the url that it leads to",
	} {
		b.Deliver(name, &pluginpb.Message{})
		if got := b.expect(t, retry); got != want {
			t.Errorf("%s: %s\nwant %s", name, got, want)
		}
		if lines := b.logs.lines("WARN", name); len(lines) != 1 || !strings.Contains(lines[0], want) {
			t.Errorf("%s: logged %q", name, lines)
		}
	}
}

func TestTheTokenGoesToTheSameHostAlone(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		locations := map[string]string{}
		other := listen(t, redirecting(locations))
		e := listen(t, redirecting(locations))
		port := e.Listener.Addr().String()[len("127.0.0.1"):]
		locations["path"] = "/end"
		locations["upper"] = "HTTP://127.0.0.1" + port + "/end"
		locations["userinfo"] = "http://user:" + private + "@127.0.0.1" + port + "/end"
		locations["port"] = other.URL + "/end"
		locations["name"] = "http://localhost" + port + "/end"
		locations["back"] = other.URL + "/308/home"
		locations["home"] = e.URL + "/end"
		locations["scheme-less"] = "//localhost" + port + "/end"
		for _, test := range []struct {
			next string
			last *endpoint
			sent bool
		}{
			{"path", e, true},
			{"upper", e, true},
			{"userinfo", e, true},
			{"port", other, false},
			{"name", e, false},
			{"scheme-less", e, false},
			{"back", e, false}, // once away, it does not come back
		} {
			b := start(t, clientsOf(clientOf("wh1", e.URL+"/307/"+test.next, `"method":"`+method+`"`)), plugintest.Options{})
			b.Deliver("wh1", &pluginpb.Message{})
			b.expect(t, acked)
			if got := e.next(t).header["Authorization"]; len(got) != 1 || got[0] != token {
				t.Errorf("%s: authorization %q to begin with", test.next, got)
			}
			if test.next == "back" {
				other.next(t)
			}
			last := test.last.next(t)
			if last.uri != "/end" {
				t.Errorf("%s: ends at %s", test.next, last.uri)
			}
			if got, sent := last.header["Authorization"]; sent != test.sent || sent && got[0] != token {
				t.Errorf("%s: authorization %q in the end", test.next, got)
			}
			if referer := last.header.Get("Referer"); referer != "" {
				t.Errorf("%s: referer %q", test.next, referer)
			}
		}
	}
}

func TestSameHost(t *testing.T) {
	for _, test := range []struct {
		at, next string
		same     bool
	}{
		{"http://h/a", "http://h/b?c", true},
		{"http://h", "http://H:80", true},
		{"https://h:443", "https://h", true},
		{"http://h:8080", "http://h:8080", true},
		{"http://h", "https://h", true},
		{"http://h:80", "https://h:443", true},
		{"http://h:8080", "https://h:8080", true},
		{"http://h:8080", "https://h", false},
		{"http://h", "https://h:8443", false},
		{"http://h", "http://h:443", false},
		{"https://h", "http://h", false},
		{"https://h", "http://h:443", false},
		{"https://h:80", "https://h:443", false},
		{"http://h", "http://h:8080", false},
		{"http://h", "http://sub.h", false},
		{"http://sub.h", "http://h", false},
		{"http://h.", "http://h", false},
		{"http://127.0.0.1", "http://localhost", false},
		{"http://[::1]:80", "http://[::1]", true},
		{"http://[::1]", "http://[::2]", false},
	} {
		at, errAt := url.Parse(test.at)
		next, errNext := url.Parse(test.next)
		if errAt != nil || errNext != nil {
			t.Fatal(errAt, errNext)
		}
		if got := sameHost(at, next); got != test.same {
			t.Errorf("%s to %s: %v", test.at, test.next, got)
		}
	}
}

func TestRedirectsEnd(t *testing.T) {
	locations := map[string]string{"loop": "/307/loop", "end": "/end"}
	e := listen(t, redirecting(locations))
	for i := range 6 {
		locations[fmt.Sprint(i)] = fmt.Sprintf("/307/%d", i-1)
	}
	locations["0"] = "/end"
	for next, requests := range map[string]int{"4": 6, "5": 6, "loop": 6} {
		b := start(t, clientsOf(clientOf("wh1", e.URL+"/307/"+next)), plugintest.Options{})
		b.Deliver("wh1", &pluginpb.Message{})
		if next == "4" {
			b.expect(t, acked)
		} else if got := b.expect(t, retry); got != "more than 5 redirects" {
			t.Errorf("%s: %s", next, got)
		}
		for range requests {
			e.next(t)
		}
		e.quiet(t)
	}
}

// What a redirect says besides where it leads does not take up the attempt, in
// which the answer is still to come.
func TestABodyWithoutEndDelaysARedirectALittle(t *testing.T) {
	redirect := redirecting(map[string]string{"next": "/end"})
	e := listen(t, func(w http.ResponseWriter, r *http.Request) {
		redirect(w, r)
		if r.URL.Path != "/end" {
			_ = http.NewResponseController(w).Flush()
			hang(w, r)
		}
	})
	b := start(t, `"timeout":10000,`+clientsOf(clientOf("wh1", e.URL+"/307/next")), plugintest.Options{})
	b.Deliver("wh1", &pluginpb.Message{})
	if got := b.expect(t, acked); got != "" {
		t.Error(got)
	}
}

func TestRedirectsLeadToHTTP(t *testing.T) {
	for _, location := range []string{"ftp://" + private + "/", "javascript:" + private, "http:///" + private, "http://%zz" + private, "mailto:x@y"} {
		e := listen(t, redirecting(map[string]string{"next": location}))
		b := start(t, clientsOf(clientOf("wh1", e.URL+"/307/next")), plugintest.Options{})
		b.Deliver("wh1", &pluginpb.Message{})
		if got := b.expect(t, retry); got != "answered 307, a redirect to something else than an http url" {
			t.Errorf("%s: %s", location, got)
		}
	}
}
