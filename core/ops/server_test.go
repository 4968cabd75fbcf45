package ops

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// fixture is an endpoint on loopback.
type fixture struct {
	*Endpoint
	source *Source
	log    strings.Builder
	pprof  atomic.Bool
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{source: still()}
	log := slog.New(slog.NewTextHandler(&f.log, nil))
	server := Server{Source: f.source, Metrics: watched(f.source), Pprof: f.pprof.Load, Log: log}
	f.Endpoint = &Endpoint{Handler: server.Handler(), Log: log}
	t.Cleanup(f.Close)
	return f
}

func (f *fixture) listen(t *testing.T) (base string) {
	t.Helper()
	address := freeAddress(t)
	if err := f.Listen(address); err != nil {
		t.Fatal(err)
	}
	return "http://" + address
}

// freeAddress is one that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func get(t *testing.T, url, host string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host, request.Close = host, true
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestHealthIsTheEnginesAnswer(t *testing.T) {
	f := newFixture(t)
	base := f.listen(t)
	if status, body := get(t, base+"/healthz", ""); status != 200 || body != "ok\n" {
		t.Errorf("%d %s", status, body)
	}
	f.source.Ping = func(context.Context) error { return errors.New("stuck") }
	if status, body := get(t, base+"/healthz", ""); status != 503 || !strings.Contains(body, "stuck") {
		t.Errorf("%d %s", status, body)
	}
}

func TestReadinessNamesWhatIsMissing(t *testing.T) {
	f := newFixture(t)
	base := f.listen(t)
	ask := func() (int, Readiness) {
		status, body := get(t, base+"/readyz", "")
		var r Readiness
		if err := json.Unmarshal([]byte(body), &r); err != nil {
			t.Fatal(err)
		}
		return status, r
	}
	if status, r := ask(); status != 200 || !r.Ready || !r.Channels[0].Ready || r.Channels[0].State != "running" {
		t.Errorf("%d %+v", status, r)
	}
	f.source.Channels = func() []Channel { return []Channel{{Name: "way", State: "backoff", Error: "it fell"}} }
	if status, r := ask(); status != 503 || r.Ready || !r.Store.Ready || r.Channels[0].Ready || r.Channels[0].Reason != "it fell" {
		t.Errorf("%d %+v", status, r)
	}
	f.source.Channels = func() []Channel { return nil }
	f.source.Disk = func() Disk { return Disk{Low: true} }
	if status, r := ask(); status != 503 || r.Store.Ready || !strings.Contains(r.Store.Reason, "limits.diskReserve") {
		t.Errorf("%d %+v", status, r)
	}
}

func TestProfilesAreThereWhenTheyAreSwitchedOn(t *testing.T) {
	f := newFixture(t)
	base := f.listen(t)
	for _, on := range []bool{false, true, false} {
		f.pprof.Store(on)
		want := map[bool]int{false: 404, true: 200}[on]
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap?debug=1", "/debug/pprof/cmdline"} {
			if status, _ := get(t, base+path, ""); status != want {
				t.Errorf("%s: %d, with profiles %v", path, status, on)
			}
		}
		if _, body := get(t, base+"/", ""); strings.Contains(body, "pprof") != on {
			t.Errorf("the index is\n%s", body)
		}
	}
}

func TestOnLoopbackOnlyItsNamesAreAnswered(t *testing.T) {
	f := newFixture(t)
	base := f.listen(t)
	for host, want := range map[string]int{"127.0.0.1:9095": 200, "localhost": 200, "[::1]:9095": 200, "evil.example": 403, "localhost.evil.example:9095": 403} {
		if status, _ := get(t, base+"/healthz", host); status != want {
			t.Errorf("%s: %d", host, status)
		}
	}
}

func TestEndpointMovesAndStaysWhereItIsOnAnError(t *testing.T) {
	f := newFixture(t)
	first := f.listen(t)
	second := f.listen(t)
	if _, err := net.Dial("tcp", strings.TrimPrefix(first, "http://")); err == nil {
		t.Error("it still listens at its first address")
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if err := f.Listen(taken.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("%v for an address that is taken", err)
	}
	if status, _ := get(t, second+"/healthz", ""); status != 200 {
		t.Errorf("%d where it was", status)
	}
	// The same port, at all addresses: what is in the way is itself.
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(second, "http://"))
	if err := f.Listen(":" + port); err != nil {
		t.Fatal(err)
	}
	if status, _ := get(t, second+"/healthz", ""); status != 200 {
		t.Errorf("%d", status)
	}
	if !strings.Contains(f.log.String(), "level=WARN") {
		t.Error("no warning of an address that others reach")
	}
	if err := f.Listen(""); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", strings.TrimPrefix(second, "http://")); err == nil {
		t.Error("it listens when it is switched off")
	}
}

func TestEndpointThatHasEndedByItselfIsOpenedAgain(t *testing.T) {
	f := newFixture(t)
	base := f.listen(t)
	address := strings.TrimPrefix(base, "http://")
	if err := f.listener.Close(); err != nil { // as if the system had taken it away
		t.Fatal(err)
	}
	f.serving.Wait()
	if err := f.Listen(address); err != nil {
		t.Fatal(err)
	}
	if status, _ := get(t, base+"/healthz", ""); status != 200 {
		t.Errorf("%d", status)
	}
	if !strings.Contains(f.log.String(), "health and metrics are not served any more") {
		t.Errorf("nothing is said of it:\n%s", f.log.String())
	}
}
