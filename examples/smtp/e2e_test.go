package main

import (
	"errors"
	"fmt"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"mpush/test/harness"
)

// sender sends mails to the channel, each until it is taken.
type sender struct {
	address, token string
	client         *smtp.Client
}

func (s *sender) send(id, to string) (code int) {
	if s.client == nil {
		client, err := smtp.Dial(s.address)
		if err != nil {
			return 0
		}
		s.client = client
		if s.client.Auth(smtp.PlainAuth("", "", s.token, "127.0.0.1")) != nil {
			s.close()
			return 0
		}
	}
	if code, _ = send(s.client, "Subject: "+id+"\nMessage-ID: <"+id+"@test>\n\n", to); code == 0 {
		s.close()
	}
	return code
}

func (s *sender) close() {
	_ = s.client.Close()
	s.client = nil
}

// Mails go in and come out as mails. What is sent again, since nobody said that
// it was taken, is taken once; what was on its way out comes out once more.
func TestKilledUnderLoadItLosesNothing(t *testing.T) {
	const mails = 200
	server := startMailServer(t, mailServerOptions{})
	listen := fmt.Sprintf("127.0.0.1:%d", harness.ReservePort(t))
	relay := harness.Start(t, harness.Object{"plugins": harness.Object{"smtp": harness.Object{
		"path": harness.Program(t, "smtp"), "unpinned": true,
		"config": harness.Object{
			"in": harness.Object{"listen": listen},
			"out": harness.Object{
				"server": server.address(), "security": "none", "from": "mpush@example.org",
				"receivers": []any{harness.Object{"name": "ann", "address": "ann@example.org"}},
			},
		},
	}}})
	relay.Get(t, "/ann.send?text=hello").ExpectStatuses(t, map[string]string{"ann": "smtp-ok"})
	s := &sender{address: listen, token: relay.Token}
	if code := s.send("nobody", "nobody@mpush"); code != 550 {
		t.Errorf("mail to nobody is answered with %d", code)
	}

	pid := relay.Channel(t, "smtp").PID
	for i := range mails {
		if i == mails/2 {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		for try := 0; ; try++ {
			code := s.send(fmt.Sprintf("load-%d", i), "ann@mpush")
			if code == 250 {
				break
			}
			if code != 0 || try == 3 {
				t.Fatalf("mail %d is answered with %d", i, code)
			}
			relay.WaitRestart(t, "smtp", pid)
		}
	}
	s.close()

	came := server.until(t, func(m []received) bool { return m[len(m)-1].subject == fmt.Sprintf("load-%d", mails-1) })
	if repeated := len(came) - mails - 1; repeated < 0 || repeated > 1 {
		t.Errorf("%d came more than once", repeated)
	}
	next := 0
	for i, m := range came[1:] {
		if m.subject == fmt.Sprintf("load-%d", next) {
			next++
		} else if before := came[i]; before.header.Get("Message-ID") != m.header.Get("Message-ID") {
			t.Fatalf("%s came in the place of load-%d", m.subject, next)
		}
	}
	if next != mails {
		t.Errorf("%d of %d came", next, mails)
	}
}

// A token for one name is good for no other here, too, though the channel is a
// third party's and knows nothing of what tokens may do.
func TestMailWithANarrowTokenReachesItsTargetsAlone(t *testing.T) {
	const token = "value-of-a-token-for-phone-alone"
	listen := fmt.Sprintf("127.0.0.1:%d", harness.ReservePort(t))
	relay := harness.Start(t, harness.Object{
		"tokens": []any{harness.Object{"name": "printer", "token": token, "rights": []string{"send"}, "targets": harness.Object{"names": []string{"phone"}}}},
		"plugins": harness.Object{"smtp": harness.Object{
			"path": harness.Program(t, "smtp"), "unpinned": true,
			"config": harness.Object{"in": harness.Object{"listen": listen}},
		}},
	})
	phone := relay.Receiver(t, "phone")
	relay.Away(t, "tv", "family")
	client, err := smtp.Dial(listen)
	if err == nil {
		defer client.Close()
		err = client.Auth(smtp.PlainAuth("", "printer", token, "127.0.0.1"))
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		to, refusal string
	}{
		{"tv@mpush", `may not send to "tv"`},
		{"family@group.mpush", `may not send to the group "family"`},
		{"phone@mpush", ""},
	} {
		code, said := send(client, "Subject: to "+row.to+"\n\n", row.to)
		if row.refusal == "" && code != 250 || row.refusal != "" && (code != 550 || !strings.Contains(said, row.refusal)) {
			t.Errorf("mail to %s is answered with %d %s", row.to, code, said)
		}
	}
	phone.Take(t, "to phone@mpush")
	tv := relay.Member(t, "tv", "family")
	reply := relay.Begin(t, harness.Request{Target: "/tv.send?text=first"})
	tv.Take(t, "first") // no mail waited
	reply().ExpectStatuses(t, map[string]string{"tv": "ok"})

	if got := harness.Run(t, relay.Dir, nil, "token", "revoke", "printer", "--config", "config.json"); got.Code != 0 {
		t.Fatal(got.Stderr)
	}
	relay.WaitLog(t, "configuration reloaded", "tokens")
	if code, said := send(client, "Subject: late\n\n", "phone@mpush"); code != 535 {
		t.Errorf("mail with a revoked token is answered with %d %s", code, said)
	}
}

func TestTheSnippetIsAProperConfig(t *testing.T) {
	dir := t.TempDir()
	snippet, err := os.ReadFile("config.jsonc")
	err = errors.Join(err,
		os.WriteFile(filepath.Join(dir, "config.json"), snippet, 0o600),
		os.WriteFile(filepath.Join(dir, "wrong.json"), []byte(strings.Replace(string(snippet), `"from"`, `"form"`, 1)), 0o600),
		os.Mkdir(filepath.Join(dir, "bin"), 0o700),
		os.Symlink(harness.Program(t, "smtp"), filepath.Join(dir, "bin", "smtp")))
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"MPUSH_TOKEN=a-token-of-its-own", "SMTP_PASSWORD=very-secret"}
	if got := harness.Run(t, dir, env, "check", "--config", "config.json"); got.Code != 0 {
		t.Errorf("exit code %d\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
	got := harness.Run(t, dir, env, "check", "--config", "wrong.json")
	if said := got.Stdout + got.Stderr; got.Code == 0 || !strings.Contains(said, "wrong.json:14:") || !strings.Contains(said, "plugins.smtp.config.out.form") || strings.Contains(said, "very-secret") {
		t.Errorf("exit code %d\n%s", got.Code, said)
	}
}
