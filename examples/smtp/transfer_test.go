package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mpush/sdk"
	"mpush/sdk/plugintest"
)

// scan is a mail of which nothing is read but the header.
func scan(size int) string {
	return "Subject: scan\nContent-Type: application/pdf\n\n" + strings.Repeat("JVBERi0xLjcKMSAwIG9iago=\n", size/25)
}

// attached is a mail with the scan as an attachment.
func attached(size int) string {
	return "Subject: scan\nContent-Type: multipart/mixed; boundary=a\n\n--a\n\nsee there\n--a\n" + scan(size) + "\n--a--\n"
}

// chunk sends one chunk by BDAT of which the server is told size bytes, and
// returns the answer's code.
func chunk(client *smtp.Client, text string, size int, last string) (code int) {
	if _, err := fmt.Fprintf(client.Text.W, "BDAT %d %s\r\n%s", size, last, text); err != nil {
		return 0
	}
	if err := client.Text.W.Flush(); err != nil {
		return 0
	}
	_, _, err := client.Text.ReadResponse(250)
	return codeOf(err)
}

func codeOf(err error) int {
	if err == nil {
		return 250
	}
	refused, ok := errors.AsType[*textproto.Error](err)
	if !ok {
		return 0
	}
	return refused.Code
}

// begin says to whom a mail goes that follows.
func begin(t *testing.T, client *smtp.Client) {
	t.Helper()
	if err := client.Mail("ann@example.org"); err != nil {
		t.Fatal(err)
	}
	if err := client.Rcpt("phone@mpush"); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsNotReadMustHaveComeToo(t *testing.T) {
	core := startIn(t, false, plugintest.Options{Config: `{"in": {"listen": "127.0.0.1:0", "maxMessageBytes": 100000}}`})
	client := connect(t, core, token)
	for name, test := range map[string]struct {
		mail string
		code int
	}{
		"one part":               {scan(20_000), 250},
		"an attachment":          {attached(20_000), 250},
		"a long end":             {attached(10) + strings.Repeat("nothing\n", 2000), 250},
		"one part too large":     {scan(200_000), 552},
		"an attachment, too":     {attached(200_000), 552},
		"an end that is too far": {attached(10) + strings.Repeat("nothing\n", 20_000), 552},
	} {
		mails := 0
		if test.code == 250 {
			mails = 2
		}
		before := publishes(core)
		if code, answer := send(client, test.mail, "phone@mpush"); code != test.code {
			t.Errorf("%s, by DATA: %d %s", name, code, answer)
		}
		begin(t, client)
		whole := strings.ReplaceAll(test.mail, "\n", "\r\n")
		if code := chunk(client, whole, len(whole), "LAST"); code != test.code {
			t.Errorf("%s, by BDAT: %d", name, code)
		}
		if got := publishes(core) - before; got != mails {
			t.Errorf("%s: published %d times, not %d", name, got, mails)
		}
	}
}

func publishes(core *plugintest.Core) (n int) {
	for _, e := range core.Seen() {
		if e.GetPublish() != nil {
			n++
		}
	}
	return n
}

func TestMailThatBreaksOffIsNotPublished(t *testing.T) {
	half := strings.ReplaceAll(scan(20_000), "\n", "\r\n")
	for name, cut := range map[string]func(*testing.T, *smtp.Client){
		"by DATA": func(t *testing.T, client *smtp.Client) {
			w, err := client.Data()
			if err == nil {
				_, err = io.WriteString(w, half)
			}
			if err == nil {
				err = client.Text.W.Flush()
			}
			if err != nil {
				t.Error(err)
			}
		},
		"by BDAT": func(t *testing.T, client *smtp.Client) {
			if code := chunk(client, half, len(half), ""); code != 250 {
				t.Errorf("a chunk: %d", code)
			}
		},
		"in the last chunk": func(t *testing.T, client *smtp.Client) {
			if _, err := fmt.Fprintf(client.Text.W, "BDAT %d LAST\r\n%s", 2*len(half), half); err != nil {
				t.Error(err)
			}
			if err := client.Text.W.Flush(); err != nil {
				t.Error(err)
			}
		},
	} {
		s, host, dial := serveInMemory(t)
		client := dial()
		begin(t, client)
		cut(t, client)
		_ = client.Close()
		if err := s.stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(host.published) != 0 {
			t.Errorf("%s: published %d times", name, len(host.published))
		}
	}
}

func TestOnlySilenceIsTimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, host, dial := serveInMemory(t)
		client := dial()
		begin(t, client)
		w, err := client.Data()
		if err == nil {
			_, err = io.WriteString(w, "Subject: slow\r\n\r\n")
		}
		for range 10 {
			if err == nil {
				time.Sleep(idleTime / 2)
				_, err = io.WriteString(w, "a slow line\r\n")
			}
			if err == nil {
				err = client.Text.W.Flush()
			}
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil || len(host.published) != 1 {
			t.Errorf("a slow mail: %v, published %d times", err, len(host.published))
		}

		begin(t, client)
		if w, err = client.Data(); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, "half a mail\r\n")
		_ = client.Text.W.Flush()
		if _, _, err := client.Text.ReadResponse(250); codeOf(err) != 451 {
			t.Errorf("silence in a mail: %v", err)
		}
		_ = client.Close()
		client = dial()
		begin(t, client)
		if code := chunk(client, "half a mail", 100, "LAST"); code != 451 {
			t.Errorf("silence in a chunk: %d", code)
		}
		_ = client.Close()
		if err := s.stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(host.published) != 1 {
			t.Errorf("published %d times", len(host.published))
		}
	})
}

// taker is a relay that takes everything.
type taker struct {
	sdk.Host
	published []sdk.Publish
}

func (h *taker) Publish(_ context.Context, p sdk.Publish) (sdk.Published, error) {
	h.published = append(h.published, p)
	return sdk.Published{MID: 1}, nil
}

// serveInMemory runs the server, without a token, behind connections whose
// deadlines a test's own time ends.
func serveInMemory(t *testing.T) (s *server, host *taker, dial func() *smtp.Client) {
	t.Helper()
	pipes := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	host = &taker{}
	s = &server{settings: defaults().In, withoutToken: true, host: host, ctx: t.Context(), listener: pipes}
	s.serve(nil, true)
	return s, host, func() *smtp.Client {
		ours, theirs := net.Pipe()
		pipes.conns <- theirs
		client, err := smtp.NewClient(ours, "mpush")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		return client
	}
}

type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func (l *pipeListener) Addr() net.Addr { return nil }
