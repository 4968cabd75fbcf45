package fakepush

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	webpush "github.com/SherClockHolmes/webpush-go"
)

// sender pushes by a library that this package knows nothing of.
type sender struct {
	t               *testing.T
	client          *http.Client
	public, private string
}

func newSender(t *testing.T, s *Server) *sender {
	private, public, err := webpush.GenerateVAPIDKeys()
	if err != nil {
		t.Fatal(err)
	}
	return &sender{t, s.Client(), public, private}
}

func (s *sender) push(to *Subscription, payload string) (*http.Response, error) {
	s.t.Helper()
	response, err := webpush.SendNotificationWithContext(s.t.Context(), []byte(payload), &webpush.Subscription{
		Endpoint: to.Endpoint(), Keys: webpush.Keys{Auth: to.Auth(), P256dh: to.P256dh()},
	}, &webpush.Options{
		HTTPClient: s.client, Subscriber: "a@b.org", TTL: 60, Topic: "news", Urgency: webpush.UrgencyLow,
		VAPIDPublicKey: s.public, VAPIDPrivateKey: s.private,
	})
	if err == nil {
		response.Body.Close()
	}
	return response, err
}

func (s *sender) status(to *Subscription, payload string) int {
	s.t.Helper()
	response, err := s.push(to, payload)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode
}

func TestPushesAreDecryptedAndRecorded(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s := New(t, Options{TLS: secure})
		from := newSender(t, s)
		phone := s.Subscribe(from.public)
		if status := from.status(phone, "hello"); status != http.StatusCreated {
			t.Errorf("status %d", status)
		}
		got := s.Next()
		if got.Subscription != phone || string(got.Payload) != "hello" || got.TTL != time.Minute || got.Urgency != "low" || got.Topic != "news" ||
			got.BodyBytes != 4096 || got.Status != http.StatusCreated || got.Claims.Audience != s.Origin() || got.Claims.Subject != "mailto:a@b.org" {
			t.Errorf("got %+v", got)
		}
		s.Close()
	}
}

func TestAnswersFollowTheScript(t *testing.T) {
	s := New(t, Options{})
	from := newSender(t, s)
	phone, tablet := s.Subscribe(from.public), s.Subscribe(from.public)
	s.Script(Answer{Status: 500})
	s.Always(Answer{Status: 202})
	phone.Script(Answer{Status: 429, Header: map[string]string{"Retry-After": "7"}})
	if response, err := from.push(phone, "1"); err != nil || response.StatusCode != 429 || response.Header.Get("Retry-After") != "7" {
		t.Errorf("got %v, %v", response, err)
	}
	for i, want := range []int{500, 202, 202} {
		if status := from.status(phone, "2"); status != want {
			t.Errorf("push %d: status %d, want %d", i, status, want)
		}
	}
	tablet.Always(Answer{Status: 410})
	if status := from.status(tablet, "3"); status != 410 {
		t.Errorf("status %d", status)
	}
	if seen := s.Seen(); len(seen) != 5 || seen[4].Status != 410 || seen[4].Subscription != tablet {
		t.Errorf("seen %d", len(seen))
	}
}

func TestAnswersCanHangAndConnectionsBreak(t *testing.T) {
	s := New(t, Options{})
	from := newSender(t, s)
	phone := s.Subscribe(from.public)
	release := make(chan struct{})
	s.Script(Answer{Until: release}, Answer{Reset: true})
	answered := make(chan int, 1)
	go func() {
		response, err := from.push(phone, "1")
		if err != nil {
			t.Error(err)
			response = &http.Response{}
		}
		answered <- response.StatusCode
	}()
	s.Next()
	select {
	case status := <-answered:
		t.Errorf("status %d before it was due", status)
	default:
	}
	close(release)
	if status := <-answered; status != http.StatusCreated {
		t.Errorf("status %d", status)
	}
	if response, err := from.push(phone, "2"); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, %v", response, err)
	}
	if got := s.Next(); got.Status != 0 || string(got.Payload) != "2" {
		t.Errorf("got %+v", got)
	}
}

func TestBodiesHaveALimit(t *testing.T) {
	s := New(t, Options{MaxBody: 4095})
	from := newSender(t, s)
	if status := from.status(s.Subscribe(from.public), "x"); status != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", status)
	}
	if got := s.Next(); got.Payload != nil || got.BodyBytes != 4096 || got.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("got %+v", got)
	}
}

// recorder stands in for a test that the service would fail.
type recorder struct {
	testing.TB
	failed []string
}

func (r *recorder) Errorf(format string, args ...any) { r.failed = append(r.failed, format) }

func TestRequestsThatBreakTheProtocolFailTheTest(t *testing.T) {
	s := New(t, Options{})
	from := newSender(t, s)
	phone := s.Subscribe(from.public)
	var sent *http.Request
	var body []byte
	from.client = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		sent = r
		body, _ = io.ReadAll(r.Body)
		return &http.Response{StatusCode: 201, Body: http.NoBody}, nil
	})}
	from.status(phone, "hello")
	for name, row := range map[string]struct {
		change func(r *http.Request)
		status int
	}{
		"as it should be":     {func(*http.Request) {}, 201},
		"no TTL":              {func(r *http.Request) { r.Header.Del("TTL") }, 400},
		"TTL below 0":         {func(r *http.Request) { r.Header.Set("TTL", "-1") }, 400},
		"unknown urgency":     {func(r *http.Request) { r.Header.Set("Urgency", "urgent") }, 400},
		"topic too long":      {func(r *http.Request) { r.Header.Set("Topic", strings.Repeat("x", 33)) }, 400},
		"topic not base64url": {func(r *http.Request) { r.Header.Set("Topic", "a b") }, 400},
		"another encoding":    {func(r *http.Request) { r.Header.Set("Content-Encoding", "aesgcm") }, 400},
		"changed body": {func(r *http.Request) {
			r.Body = io.NopCloser(bytes.NewReader(append(bytes.Clone(body[:4095]), ^body[4095])))
		}, 400},
		"no authorization":     {func(r *http.Request) { r.Header.Del("Authorization") }, 403},
		"GET":                  {func(r *http.Request) { r.Method = http.MethodGet }, 405},
		"unknown subscription": {func(r *http.Request) { r.URL.Path = "/push/x" }, 404},
	} {
		watched := &recorder{TB: t}
		s.t = watched
		r := sent.Clone(t.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
		row.change(r)
		answer := httptest.NewRecorder()
		s.ServeHTTP(answer, r)
		if failed := len(watched.failed) > 0; answer.Code != row.status || failed != (row.status != 201) {
			t.Errorf("%s: status %d %s, failures %q", name, answer.Code, answer.Body, watched.failed)
		}
		s.t = t
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
