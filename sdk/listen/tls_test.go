package listen_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mpush/sdk"
	"mpush/sdk/listen"
	"mpush/sdk/plugintest"
	"mpush/test/ca"
)

// clock is a time that a test moves.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.at.Store(time.Now().UnixNano())
	return c
}

func (c *clock) now() time.Time       { return time.Unix(0, c.at.Load()) }
func (c *clock) pass(d time.Duration) { c.at.Add(int64(d)) }

func files(dir string) *listen.TLS {
	return &listen.TLS{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
}

func section() *sdk.Config { return sdk.NewConfig("x", nil) }

// logged collects what the package logs while a test runs.
func logged(t *testing.T) func() string {
	t.Helper()
	var mu sync.Mutex
	var text bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(writerFunc(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return text.Write(b)
	}), nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return text.String()
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// echo serves a certificate until the test ends, and says back what it is told.
func echo(t *testing.T, c *listen.Certificate) (address string) {
	t.Helper()
	inner, err := listen.TCP(t.Context(), listen.Options{Host: "127.0.0.1", MaxConnections: 100})
	if err != nil {
		t.Fatal(err)
	}
	listener := c.Listener(inner)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			})
		}
	})
	t.Cleanup(func() { listener.Close(); all.Wait() })
	return inner.Addr().String()
}

// handshake connects and tells whose certificate was shown.
func handshake(t *testing.T, authority *ca.Authority, address string) (conn *tls.Conn, name string) {
	t.Helper()
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: plugintest.Patience}, Config: &tls.Config{RootCAs: authority.Pool(), NextProtos: []string{"h2", "http/1.1"}}}
	made, err := dialer.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	conn = made.(*tls.Conn)
	t.Cleanup(func() { conn.Close() })
	return conn, conn.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestChangedCertificateIsServedAndConnectionsStay(t *testing.T) {
	log := logged(t)
	dir, authority := t.TempDir(), ca.New(t)
	authority.Issue(t, "first", time.Hour).Write(t, dir)
	certificate, err := listen.Load(section(), "tls", files(dir))
	if err != nil {
		t.Fatal(err)
	}
	clock := newClock() // not before the files were looked at
	certificate.SetClock(clock.now)
	address := echo(t, certificate)
	old, name := handshake(t, authority, address)
	if name != "first" || old.ConnectionState().NegotiatedProtocol != "http/1.1" {
		t.Fatalf("certificate of %s, protocol %s", name, old.ConnectionState().NegotiatedProtocol)
	}

	authority.Issue(t, "second", time.Hour).Write(t, dir)
	if _, name := handshake(t, authority, address); name != "first" {
		t.Error("the files were looked at within a second")
	}
	clock.pass(2 * time.Second)
	if _, name := handshake(t, authority, address); name != "second" {
		t.Errorf("after the change %s is served", name)
	}
	if !strings.Contains(log(), "certificate has changed") || !strings.Contains(log(), "key=x.tls") {
		t.Errorf("logged: %s", log())
	}
	answer := make([]byte, 5)
	old.SetDeadline(time.Now().Add(plugintest.Patience))
	if _, err := old.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(old, answer); err != nil || string(answer) != "hello" {
		t.Errorf("the connection from before read %q, %v", answer, err)
	}
}

func TestPairThatDoesNotFitLeavesTheOneBefore(t *testing.T) {
	log := logged(t)
	dir, authority, clock := t.TempDir(), ca.New(t), newClock()
	authority.Issue(t, "first", time.Hour).Write(t, dir)
	certificate, err := listen.Load(section(), "tls", files(dir))
	if err != nil {
		t.Fatal(err)
	}
	certificate.SetClock(clock.now)
	address := echo(t, certificate)
	shows := func(want string) {
		t.Helper()
		clock.pass(time.Minute)
		if _, name := handshake(t, authority, address); name != want {
			t.Errorf("%s is served instead of %s", name, want)
		}
	}
	next := authority.Issue(t, "second", time.Hour)
	for i, broken := range []ca.Pair{
		{Cert: next.Cert, Key: authority.Issue(t, "other", time.Hour).Key},
		{Cert: []byte("nothing"), Key: next.Key},
		{Cert: next.Cert, Key: nil},
	} {
		broken.Write(t, dir)
		shows("first")
		shows("first")
		if n := strings.Count(log(), "the one before stays"); n != i+1 {
			t.Errorf("logged %d times after %d changes: %s", n, i+1, log())
		}
	}
	if err := os.Remove(filepath.Join(dir, "key.pem")); err != nil {
		t.Fatal(err)
	}
	shows("first")
	next.Write(t, dir)
	shows("second")
	if strings.Contains(log(), "PRIVATE") {
		t.Errorf("logged: %s", log())
	}
}

func TestFaultNamesTheFilesKey(t *testing.T) {
	dir, authority := t.TempDir(), ca.New(t)
	good, other := authority.Issue(t, "good", time.Hour), authority.Issue(t, "other", time.Hour)
	good.Write(t, dir)
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for _, test := range []struct {
		name      string
		cert, key string
		at, says  string
	}{
		{"no certificate", filepath.Join(dir, "none.pem"), key, "tls.cert", "no such file"},
		{"a folder", dir, key, "tls.cert", "not a regular file"},
		{"not PEM", put("text.pem", "hello"), key, "tls.cert", "does not begin with a certificate in PEM"},
		{"a damaged one", put("damaged.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), key, "tls.cert", "x509"},
		{"files exchanged", key, cert, "tls.cert", "does not begin with a certificate in PEM"},
		{"no key", cert, filepath.Join(dir, "none.pem"), "tls.key", "no such file"},
		{"the key is a certificate", cert, cert, "tls.key", "cert.pem"},
		{"another's key", cert, put("other.pem", string(other.Key)), "tls.key", "does not match"},
		{"too large", cert, put("large.pem", strings.Repeat("x", 1<<20+1)), "tls.key", "larger than 1024 KiB"},
	} {
		_, err := listen.Load(section(), "tls", &listen.TLS{Cert: test.cert, Key: test.key})
		fault, ok := errors.AsType[*sdk.Invalidity](err)
		if !ok || fault.Path != test.at || !strings.Contains(fault.Message, test.says) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// secured is a channel with a section that has the setting.
type secured struct{ certificate *listen.Certificate }

func (*secured) Describe() sdk.Manifest { return sdk.Manifest{Name: "secured"} }

func (s *secured) Configure(_ context.Context, config *sdk.Config) (err error) {
	var section struct {
		TLS *listen.TLS `json:"tls"`
	}
	if err := config.Decode(&section); err != nil {
		return err
	}
	s.certificate, err = listen.Load(config, "tls", section.TLS)
	return err
}

func TestSettingIsCheckedAndMayBeAbsent(t *testing.T) {
	dir := t.TempDir()
	ca.New(t).Issue(t, "past", -time.Hour).Write(t, dir)
	for _, test := range []struct{ section, says string }{
		{`{}`, ""},
		{`{"tls":null}`, ""},
		{`{"tls":{}}`, "tls.cert: missing; tls.key: missing; "},
		{`{"tls":{"cert":"","key":"x"}}`, "tls.cert: expected at least 1 characters; "},
		{fmt.Sprintf(`{"tls":{"cert":%q,"key":%q}}`, files(dir).Cert, files(dir).Key), "tls.cert: " + files(dir).Cert + " is valid from "},
	} {
		said := ""
		plugin := new(secured)
		for _, d := range plugintest.Configure(t, plugin, plugintest.Options{Config: test.section}) {
			said += d.GetPath() + ": " + d.GetMessage() + "; "
		}
		if !strings.HasPrefix(said, test.says) || test.says == "" && said != "" {
			t.Errorf("%s: %s", test.section, said)
		}
		if served := plugin.certificate != nil; served != strings.Contains(test.says, "valid from") {
			t.Errorf("%s: served %v", test.section, served)
		}
	}
}

func TestConnectionsStayInTheClearWithoutACertificate(t *testing.T) {
	var none *listen.Certificate
	address := echo(t, none)
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(plugintest.Patience))
	fmt.Fprint(conn, "hello")
	answer := make([]byte, 5)
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "hello" {
		t.Errorf("read %q, %v", answer, err)
	}
	if none.URL("https", "a:1") != "a:1" || string(none.Refusal([]byte("full"))) != "full" {
		t.Error("nil is not as if there were none")
	}
}

func TestClientThatSpeaksHTTPInTheClearIsTold(t *testing.T) {
	dir := t.TempDir()
	ca.New(t).Issue(t, "first", time.Hour).Write(t, dir)
	certificate, err := listen.Load(section(), "tls", files(dir))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Get("http://" + echo(t, certificate) + "/phone.send?text=x")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "use https:// or wss://") {
		t.Errorf("%d %s, %v", response.StatusCode, body, err)
	}
	if certificate.URL("https", "a:1") != "https://a:1" || certificate.Refusal([]byte("full")) != nil {
		t.Error("what is refused is told in the clear")
	}
}

func TestVersionsBefore12AreRefused(t *testing.T) {
	dir, authority := t.TempDir(), ca.New(t)
	authority.Issue(t, "first", time.Hour).Write(t, dir)
	certificate, err := listen.Load(section(), "tls", files(dir))
	if err != nil {
		t.Fatal(err)
	}
	_, err = tls.Dial("tcp", echo(t, certificate), &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.1: %v", err)
	}
}
