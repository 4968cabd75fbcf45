package main

import (
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"testing"

	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
	"mpush/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m, "cmd/mpush", "examples/smtp")) }

const (
	handedOff = pluginpb.OutcomeKind_OUTCOME_KIND_HANDED_OFF
	again     = pluginpb.OutcomeKind_OUTCOME_KIND_RETRY
	dead      = pluginpb.OutcomeKind_OUTCOME_KIND_REJECTED
)

// startOut runs the channel for mail out alone. more are further keys of out,
// each with a comma before.
func startOut(t *testing.T, server string, roots *x509.CertPool, more string) *plugintest.Core {
	t.Helper()
	c := newChannel()
	c.roots = roots
	return plugintest.Start(t, c, plugintest.Options{Config: fmt.Sprintf(`{"in": {"listen": ""}, "out": {
		"server": %q, "from": "The relay <mpush@example.org>", "receivers": [
			{"name": "ann", "group": "family", "address": "ann@example.org"}, {"name": "bob", "address": "bob@example.org"}]%s}}`, server, more)})
}

const open = `, "security": "none"`

func TestMessageGoesOutAsMail(t *testing.T) {
	server := startMailServer(t, mailServerOptions{})
	core := startOut(t, server.address(), nil, open)
	if group, ok := core.Group("ann"); !ok || group != "family" {
		t.Errorf("declared group %q, %v", group, ok)
	}
	long := strings.Repeat("字", 200)
	for i, test := range []struct{ text, desp, subject, body string }{
		{"hello", "world", "hello", "world"},
		{"你好", ".a line\n.\nand = more", "你好", ".a line\n.\nand = more"},
		{"first\r\nX-Injected: yes", "", "first X-Injected: yes", "first\nX-Injected: yes"},
		{long, "and more", strings.Repeat("字", 150) + "…", long + "\n\nand more"},
		{"", "alone", "(no text)", "alone"},
	} {
		mid := core.Deliver("ann", &pluginpb.Message{Text: test.text, Desp: test.desp})
		if got := core.Outcome(); got.GetMid() != mid || got.GetKind() != handedOff {
			t.Fatalf("outcome %v", got)
		}
		m := server.until(t, func(m []received) bool { return len(m) > i })[i]
		if m.subject != test.subject || m.body != test.body {
			t.Errorf("subject %q, body %q", m.subject, m.body)
		}
		if m.from != "mpush@example.org" || m.to != "ann@example.org" || m.header.Get("To") != "<ann@example.org>" || m.header.Get("From") != `"The relay" <mpush@example.org>` {
			t.Errorf("from %q to %q, header %q", m.from, m.to, m.header)
		}
		if m.header.Get("X-Injected") != "" || m.header.Get("Auto-Submitted") != "auto-generated" || m.header.Get("X-Mpush-Mid") != fmt.Sprint(mid) {
			t.Errorf("header %q", m.header)
		}
		if _, err := m.header.Date(); err != nil {
			t.Error(err)
		}
	}
}

func TestRepeatHasTheSameMessageID(t *testing.T) {
	server := startMailServer(t, mailServerOptions{})
	core := startOut(t, server.address(), nil, open)
	mid := core.Deliver("ann", &pluginpb.Message{Text: "hello"})
	core.Outcome()
	core.Resend("ann", mid)
	core.Outcome()
	core.DeliverTo([]string{"bob"}, &pluginpb.Message{Mid: mid, Text: "hello"})
	core.Outcome()
	mails := server.until(t, func(m []received) bool { return len(m) == 3 })
	id := func(i int) string { return mails[i].header.Get("Message-ID") }
	if id(0) != id(1) || id(0) == id(2) || !strings.HasPrefix(id(0), fmt.Sprintf("<%d.", mid)) || !strings.HasSuffix(id(0), "@example.org>") {
		t.Errorf("ids %q, %q and %q", id(0), id(1), id(2))
	}
}

func TestAnswersOfTheMailServerBecomeOutcomes(t *testing.T) {
	for name, test := range map[string]struct {
		command, answer string
		kind            pluginpb.OutcomeKind
		says            string
	}{
		"greylisted":         {"RCPT", "450 4.2.0 come back later", again, "450 4.2.0"},
		"nobody":             {"RCPT", "550 5.1.1 no ann of that secret here", dead, "550 5.1.1"},
		"sender refused":     {"MAIL", "553 5.1.8 not you", dead, "553 5.1.8"},
		"login wanted":       {"MAIL", "530 5.7.0 log in", again, "check out.username"},
		"full disk":          {"DATA", "452 4.3.1 no room", again, "452 4.3.1"},
		"spam":               {".", "554 5.7.1 spam: secret hello", dead, "554 5.7.1"},
		"busy after all":     {".", "451 4.3.0 busy", again, "451 4.3.0"},
		"hung up at the end": {".", "hang up", again, "connection"},
		"hung up":            {"EHLO", "hang up", again, "closed"},
		"away":               {"greeting", "421 4.3.2 away", again, "421"},
		"not SMTP":           {"greeting", "HTTP/1.1 400 secret", again, "not SMTP"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startMailServer(t, mailServerOptions{answers: map[string]string{test.command: test.answer}})
			core := startOut(t, server.address(), nil, open)
			core.Deliver("ann", &pluginpb.Message{Text: "secret hello"})
			got := core.Outcome()
			if got.GetKind() != test.kind || !strings.Contains(got.GetError(), test.says) || strings.Contains(got.GetError(), "secret") {
				t.Errorf("outcome %v", got)
			}
			if health := core.Health(); health == nil || !strings.HasPrefix(health.Error(), "ann: ") {
				t.Errorf("health %v", health)
			}
		})
	}
}

// A goodbye that fails takes nothing back.
func TestTakenIsTaken(t *testing.T) {
	server := startMailServer(t, mailServerOptions{answers: map[string]string{".": "250 2.0.0 taken\r\n421 4.3.2 and away"}})
	core := startOut(t, server.address(), nil, open)
	core.Deliver("ann", &pluginpb.Message{Text: "hello"})
	if got := core.Outcome(); got.GetKind() != handedOff || core.Health() != nil {
		t.Errorf("outcome %v", got)
	}
}

func TestNobodyThereIsTriedAgain(t *testing.T) {
	core := startOut(t, fmt.Sprintf("127.0.0.1:%d", harness.ReservePort(t)), nil, open)
	core.Deliver("ann", &pluginpb.Message{Text: "hello"})
	if got := core.Outcome(); got.GetKind() != again || got.GetError() != "connection refused" {
		t.Errorf("outcome %v", got)
	}
}

func TestLoginAndEncryption(t *testing.T) {
	certificate, roots := certificateFor(t)
	const login = `, "username": "relay", "password": "very-secret"`
	for name, test := range map[string]struct {
		server mailServerOptions
		roots  *x509.CertPool
		more   string
		kind   pluginpb.OutcomeKind
		says   string
	}{
		"starttls by default":     {mailServerOptions{tls: certificate, login: "relay very-secret"}, roots, login, handedOff, ""},
		"tls":                     {mailServerOptions{tls: certificate, implicit: true, login: "relay very-secret"}, roots, login + `, "security": "tls"`, handedOff, ""},
		"no starttls":             {mailServerOptions{login: "relay very-secret"}, roots, login, again, "STARTTLS"},
		"a stranger's":            {mailServerOptions{tls: certificate, login: "relay very-secret"}, x509.NewCertPool(), login, again, "unknown authority"},
		"a stranger's, at once":   {mailServerOptions{tls: certificate, implicit: true}, x509.NewCertPool(), `, "security": "tls"`, again, "unknown authority"},
		"wrong password":          {mailServerOptions{tls: certificate, login: "relay other"}, roots, login, again, "535: check out.username"},
		"no login":                {mailServerOptions{tls: certificate, login: "relay other"}, roots, "", again, "check out.username"},
		"a login nobody asks for": {mailServerOptions{tls: certificate}, roots, login, again, "AUTH"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startMailServer(t, test.server)
			core := startOut(t, server.address(), test.roots, test.more)
			core.Deliver("ann", &pluginpb.Message{Text: "hello"})
			got := core.Outcome()
			if got.GetKind() != test.kind || !strings.Contains(got.GetError(), test.says) || strings.Contains(got.GetError(), "very-secret") {
				t.Errorf("outcome %v", got)
			}
		})
	}
}
