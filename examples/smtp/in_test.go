package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/smtp"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mpush/sdk"
	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
	"mpush/test/harness"
)

const token = "test" // the relay's, as plugintest has it

// startIn runs the channel for mail in alone.
func startIn(t *testing.T, withoutToken bool, o plugintest.Options) *plugintest.Core {
	t.Helper()
	if o.Config == "" {
		o.Config = `{"in": {"listen": "127.0.0.1:0"}}`
	}
	c := newChannel()
	c.withoutToken = withoutToken
	return plugintest.Start(t, c, o)
}

// connect opens a connection with the standard library's client.
func connect(t *testing.T, core *plugintest.Core, password string) *smtp.Client {
	t.Helper()
	client, err := smtp.Dial(core.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	if password != "" {
		if err := client.Auth(smtp.PlainAuth("", "anybody", password, "127.0.0.1")); err != nil {
			t.Fatal(err)
		}
	}
	return client
}

// send sends a mail and returns the code that refused it, 250 if none did.
func send(client *smtp.Client, text string, to ...string) (code int, answer string) {
	err := func() error {
		if err := client.Mail("ann@example.org"); err != nil {
			return err
		}
		for _, address := range to {
			if err := client.Rcpt(address); err != nil {
				return err
			}
		}
		w, err := client.Data()
		if err != nil {
			return err
		}
		if _, err := w.Write([]byte(strings.ReplaceAll(text, "\n", "\r\n"))); err != nil {
			return err
		}
		return w.Close()
	}()
	if err == nil {
		return 250, ""
	}
	_ = client.Reset()
	if refused, ok := errors.AsType[*textproto.Error](err); ok {
		return refused.Code, refused.Msg
	}
	return 0, err.Error()
}

const plainMail = `From: Ann <ann@example.org>
To: phone@mpush
Subject: hello
Date: Sat, 14 Nov 2026 10:00:00 +0000
Message-ID: <1@example.org>

world
`

func TestMailIsPublished(t *testing.T) {
	core := startIn(t, false, plugintest.Options{})
	client := connect(t, core, token)
	for name, test := range map[string]struct {
		to, mail           string
		sendType           sdk.SendType
		target, text, desp string
		extra              string
		unidentified       bool
	}{
		"plain": {to: "phone@mpush", mail: plainMail, sendType: sdk.Personal, target: "phone", text: "hello", desp: "world",
			extra: `{"from":"Ann <ann@example.org>","to":"phone@mpush","date":"Sat, 14 Nov 2026 10:00:00 +0000","messageId":"1@example.org"}`},
		"a group": {to: "Logs@GROUP.mpush", mail: plainMail, sendType: sdk.Group, target: "Logs", text: "hello", desp: "world",
			extra: `{"from":"Ann <ann@example.org>","to":"Logs@GROUP.mpush","date":"Sat, 14 Nov 2026 10:00:00 +0000","messageId":"1@example.org"}`},
		"a name with blanks": {to: `"my phone"@mpush`, mail: plainMail, sendType: sdk.Personal, target: "my phone", text: "hello", desp: "world",
			extra: `{"from":"Ann <ann@example.org>","to":"my phone@mpush","date":"Sat, 14 Nov 2026 10:00:00 +0000","messageId":"1@example.org"}`},
		"little": {to: "phone@mpush", mail: "\n", sendType: sdk.Personal, target: "phone", text: "(no subject)",
			extra: `{"from":"ann@example.org","to":"phone@mpush"}`, unidentified: true},
		"another charset": {to: "phone@mpush", sendType: sdk.Personal, target: "phone", text: "你好", desp: "世界 =",
			mail:  "Subject: =?gb2312?B?xOO6ww==?=\nContent-Type: text/plain; charset=gb2312\nContent-Transfer-Encoding: quoted-printable\n\n=CA=C0=BD=E7 =3D\n",
			extra: `{"from":"ann@example.org","to":"phone@mpush"}`, unidentified: true},
		"plain before HTML, and files": {to: "phone@mpush", sendType: sdk.Personal, target: "phone", text: "report", desp: "the\n\nplain one",
			mail: `Subject: report
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=a

--a
Content-Type: multipart/alternative; boundary=b

--b
Content-Type: text/html

<p>the other</p>
--b
Content-Type: text/plain; charset=utf-8

the

plain one
--b--
--a
Content-Type: application/pdf
Content-Disposition: attachment; filename="report.pdf"

JVBERi0=
--a
Content-Type: text/plain
Content-Disposition: attachment; filename="notes.txt"

not the text
--a--
`, extra: `{"from":"ann@example.org","to":"phone@mpush","attachments":["report.pdf","notes.txt"]}`, unidentified: true},
		"HTML alone": {to: "phone@mpush", sendType: sdk.Personal, target: "phone", text: "HTML", desp: "Disk & memory\n\nvar\n90 % full\n\nSee the log.",
			mail: `Subject: HTML
Content-Type: text/html; charset=utf-8

<html><head><title>no</title><style>p {color: red}</style></head><body><h1>Disk &amp; memory</h1>
<script>alert(1)</script><p>var<br>90&nbsp;%
full</p><p>See the <a href="https://example.org">log</a>.</p></body></html>
`, extra: `{"from":"ann@example.org","to":"phone@mpush"}`, unidentified: true},
	} {
		if code, answer := send(client, test.mail, test.to); code != 250 {
			t.Fatalf("%s: %d %s", name, code, answer)
		}
		got := plugintest.Next[*pluginpb.PluginEnvelope_Publish](core).Publish
		if got.GetSendType() != test.sendType || got.GetTarget() != test.target || got.GetText() != test.text || got.GetDesp() != test.desp {
			t.Errorf("%s: published %v", name, got)
		}
		harness.Match(t, string(got.GetExtra()), test.extra)
		if credentials := got.GetCredentials(); credentials.GetToken() != token || credentials.GetTrusted() || credentials.GetRemote() != "127.0.0.1" {
			t.Errorf("%s: credentials of %q, trusted %v", name, credentials.GetRemote(), credentials.GetTrusted())
		}
		if (got.GetIdempotencyKey() == "") != test.unidentified {
			t.Errorf("%s: key %q", name, got.GetIdempotencyKey())
		}
	}
}

func TestOnlyWithTheTokenOrTheRight(t *testing.T) {
	core := startIn(t, false, plugintest.Options{})
	client := connect(t, core, "")
	if code, _ := send(client, plainMail, "phone@mpush"); code != 530 {
		t.Errorf("without a token: %d", code)
	}
	refused, ok := errors.AsType[*textproto.Error](client.Auth(smtp.PlainAuth("", "anybody", "wrong", "127.0.0.1")))
	if !ok || refused.Code != 535 || strings.Contains(refused.Msg, token) {
		t.Errorf("wrong token: %v", refused)
	}
	if c := newChannel(); len(c.Describe().Rights) != 0 {
		t.Error("the right is asked for though it is not needed")
	}

	open := startIn(t, true, plugintest.Options{})
	if code, answer := send(connect(t, open, ""), plainMail, "phone@mpush"); code != 250 {
		t.Errorf("with the right: %d %s", code, answer)
	}
	if got := plugintest.Next[*pluginpb.PluginEnvelope_Publish](open).Publish.GetCredentials(); !got.GetTrusted() || got.GetToken() != "" {
		t.Error("it has other credentials")
	}
	withheld := startIn(t, true, plugintest.Options{Withhold: true})
	if code, answer := send(connect(t, withheld, ""), plainMail, "phone@mpush"); code != 535 {
		t.Errorf("without the right: %d %s", code, answer)
	}
}

func TestRefusalsHaveTheirCodes(t *testing.T) {
	refuse := func(code sdk.Code) *pluginpb.PublishResult {
		return &pluginpb.PublishResult{Error: &pluginpb.Error{Code: code, Message: "because"}}
	}
	nobody := func(status string) *pluginpb.PublishResult {
		return &pluginpb.PublishResult{Statuses: []*pluginpb.ReceiverStatus{{Receiver: "phone", Status: status}}}
	}
	for name, test := range map[string]struct {
		result *pluginpb.PublishResult
		code   int
	}{
		"unknown":      {nobody("no"), 550},
		"full":         {nobody("full"), 452},
		"empty group":  {&pluginpb.PublishResult{}, 550},
		"forbidden":    {refuse(sdk.CodeForbidden), 550},
		"invalid":      {refuse(sdk.CodeInvalid), 554},
		"too large":    {refuse(sdk.CodeTooLarge), 552},
		"token gone":   {refuse(sdk.CodeUnauthenticated), 535},
		"limit":        {refuse(sdk.CodeLimit), 451},
		"disk is full": {refuse(sdk.CodeUnavailable), 451},
	} {
		core := startIn(t, false, plugintest.Options{Publish: func(*pluginpb.Publish) *pluginpb.PublishResult { return test.result }})
		client := connect(t, core, token)
		if code, answer := send(client, plainMail, "phone@mpush"); code != test.code || !strings.Contains(answer, "phone@mpush") {
			t.Errorf("%s: %d %s", name, code, answer)
		}
	}
}

// One answer stands for all recipients: a passing failure wins, and 250 is for
// all of them.
func TestOneRefusedRecipientIsNotPassedOver(t *testing.T) {
	core := startIn(t, false, plugintest.Options{Publish: func(p *pluginpb.Publish) *pluginpb.PublishResult {
		switch p.GetTarget() {
		case "gone":
			return &pluginpb.PublishResult{Statuses: []*pluginpb.ReceiverStatus{{Receiver: "gone", Status: "no"}}}
		case "full":
			return &pluginpb.PublishResult{Statuses: []*pluginpb.ReceiverStatus{{Receiver: "full", Status: "full"}}}
		default:
			return &pluginpb.PublishResult{Mid: 1, Statuses: []*pluginpb.ReceiverStatus{{Receiver: p.GetTarget(), Status: "ready"}}}
		}
	}})
	client := connect(t, core, token)
	keys := make(map[string]bool)
	for _, test := range []struct {
		to   []string
		code int
	}{
		{[]string{"phone@mpush", "tablet@mpush"}, 250},
		{[]string{"phone@mpush", "gone@mpush", "tablet@mpush"}, 550},
		{[]string{"phone@mpush", "gone@mpush", "full@mpush"}, 452},
	} {
		if code, answer := send(client, plainMail, test.to...); code != test.code {
			t.Errorf("%q: %d %s", test.to, code, answer)
		}
		for range test.to { // all of them are tried
			keys[plugintest.Next[*pluginpb.PluginEnvelope_Publish](core).Publish.GetIdempotencyKey()] = true
		}
	}
	if len(keys) != 4 { // for phone, tablet, gone and full, however often
		t.Errorf("keys %v", keys)
	}
}

func TestWhatIsNotForHereIsRefused(t *testing.T) {
	core := startIn(t, false, plugintest.Options{Config: `{"in": {"listen": "127.0.0.1:0", "maxMessageBytes": 2000000}}`})
	client := connect(t, core, token)
	for name, test := range map[string]struct {
		to, mail string
		code     int
	}{
		"elsewhere":      {"ann@example.org", plainMail, 550},
		"no name":        {"@mpush", plainMail, 501},
		"its own":        {"phone@mpush", "X-Mpush-Mid: 1\n" + plainMail, 554},
		"broken":         {"phone@mpush", "Content-Type: multipart/mixed; boundary=a\n\n--a\nno header", 554},
		"too deep":       {"phone@mpush", nested(maxLevels + 1), 554},
		"a long header":  {"phone@mpush", "Content-Type: multipart/mixed; boundary=a\n\n--a\n" + strings.Repeat("a:\n", 20_000) + "\nhello\n--a--\n", 554},
		"a long text":    {"phone@mpush", "Subject: long\n\n" + strings.Repeat("0123456789\n", 100_000), 552},
		"a long mail":    {"phone@mpush", "Subject: long\n\n" + strings.Repeat("0123456789\n", 200_000), 552},
		"a long subject": {"phone@mpush", "Subject: " + strings.Repeat("x", 1500) + "\n\n", 250},
	} {
		if code, answer := send(client, test.mail, test.to); code != test.code {
			t.Errorf("%s: %d %s", name, code, answer)
		}
	}
	for _, e := range core.Seen() {
		if p := e.GetPublish(); p != nil && !strings.HasPrefix(p.GetText(), "xxx") {
			t.Errorf("published %v", p)
		}
	}
}

// nested is a mail whose text lies in that many multiparts.
func nested(levels int) string {
	var mail strings.Builder
	for i := range levels {
		fmt.Fprintf(&mail, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
	}
	mail.WriteString("\nhello")
	for i := range levels {
		fmt.Fprintf(&mail, "\n--b%d--", levels-1-i)
	}
	return mail.String() + "\n"
}

func TestMultipartsMayLieInEachOther(t *testing.T) {
	p, err := parse(strings.NewReader(nested(maxLevels)))
	if err != nil || p.text != "hello" {
		t.Errorf("%q, %v", p.text, err)
	}
}

func TestTokenIsGivenEncryptedWhereThereIsACertificate(t *testing.T) {
	certificate, roots := certificateFor(t)
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: certificate.Certificate[0]},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	core := startIn(t, false, plugintest.Options{Config: fmt.Sprintf(`{"in": {"listen": "0.0.0.0:0", "certificate": %q, "key": %q}}`,
		filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))})
	address := strings.Replace(core.Endpoints()[0], "0.0.0.0", "127.0.0.1", 1)
	client, err := smtp.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if offered, _ := client.Extension("AUTH"); offered {
		t.Error("the token may be given in the clear")
	}
	if err := client.StartTLS(&tls.Config{ServerName: "127.0.0.1", RootCAs: roots}); err != nil {
		t.Fatal(err)
	}
	if err := client.Auth(smtp.PlainAuth("", "anybody", token, "127.0.0.1")); err != nil {
		t.Fatal(err)
	}
	if code, answer := send(client, plainMail, "phone@mpush"); code != 250 {
		t.Errorf("%d %s", code, answer)
	}
}

func TestDoorsThatAreOpenToOthersAreWarnedOf(t *testing.T) {
	for name, test := range map[string]struct {
		listen       string
		withoutToken bool
		weak         bool
		warnings     int
	}{
		"loopback":      {"127.0.0.1:2525", true, true, 0},
		"in the clear":  {"192.0.2.1:2525", false, false, 1},
		"for everybody": {"192.0.2.1:2525", true, false, 2},
		"weak token":    {"192.0.2.1:2525", false, true, 2},
	} {
		c := newChannel()
		c.withoutToken = test.withoutToken
		found := plugintest.Configure(t, c, plugintest.Options{WeakToken: test.weak, Config: fmt.Sprintf(`{"in": {"listen": %q}}`, test.listen)})
		if len(found) != test.warnings {
			t.Errorf("%s: %v", name, found)
		}
		for _, d := range found {
			if d.GetPath() != "in.listen" || d.GetSeverity() != pluginpb.Severity_SEVERITY_WARNING {
				t.Errorf("%s: %v", name, d)
			}
		}
	}
}

func TestMistakesInTheConfigAreNamed(t *testing.T) {
	for _, test := range []struct {
		config string
		want   []string
	}{
		{`{"in": {"domain": "", "maxConnections": 0}, "out": {"security": "ssl", "timeout": 1, "connections": 0, "receivers": [{"address": "ann"}]}}`,
			[]string{"in.domain", "in.maxConnections", "out.connections", "out.receivers[0].name", "out.security", "out.timeout"}},
		{`{"in": {"listen": "2525"}, "out": {"server": "mail.example.org", "from": "me", "receivers": [
			{"name": "ann", "address": "Ann <ann@example.org>"}, {"name": "ann", "address": "ann@example.org"}]}}`,
			[]string{"in.listen", "out.from", "out.receivers[0].address", "out.receivers[1].name", "out.server"}},
		{`{"in": {"groupDomain": "MPUSH", "certificate": "nowhere.pem"}, "out": {"receivers": [{"name": "ann", "address": "ann@example.org"}]}}`,
			[]string{"in.certificate", "in.groupDomain", "out.server"}},
	} {
		var paths []string
		for _, d := range plugintest.Configure(t, newChannel(), plugintest.Options{Config: test.config}) {
			paths = append(paths, d.GetPath())
		}
		slices.Sort(paths)
		if !slices.Equal(paths, test.want) {
			t.Errorf("faults at %q, want %q", paths, test.want)
		}
	}
}
