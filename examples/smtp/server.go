package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"mpush/sdk"
	"mpush/sdk/listen"
)

const (
	// publishTime is how long the relay may take to have a mail on disk.
	publishTime   = time.Minute
	maxRecipients = 100
)

// server takes mail. Its zero value is one that was not started.
type server struct {
	settings     inSettings
	withoutToken bool
	host         sdk.Host
	ctx          context.Context // ends when the channel must

	smtp     *smtp.Server
	listener net.Listener
	serving  sync.WaitGroup

	mu       sync.Mutex
	stopping bool
	taking   sync.WaitGroup // mails that are being taken
}

func (s *server) start(ctx context.Context, host sdk.Host, settings inSettings, certificate *tls.Certificate, withoutToken bool) (address string, err error) {
	s.ctx, s.host, s.settings, s.withoutToken = ctx, host, settings, withoutToken
	name, port, err := net.SplitHostPort(settings.Listen)
	if err != nil {
		return "", err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return "", err
	}
	s.listener, err = listen.TCP(ctx, listen.Options{
		Host: name, Port: number, MaxConnections: settings.MaxConnections,
		Refusal: []byte("421 4.3.2 too many connections, try again later\r\n"),
	})
	if err != nil {
		return "", err
	}
	s.serve(certificate, certificate == nil || loopback(name))
	return s.listener.Addr().String(), nil
}

// serve begins to take connections.
func (s *server) serve(certificate *tls.Certificate, authInTheClear bool) {
	s.smtp = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{server: s, remote: remoteOf(c.Conn())}, nil
	}))
	s.smtp.Domain = s.settings.Domain
	s.smtp.MaxMessageBytes = s.settings.MaxMessageBytes
	s.smtp.MaxRecipients = maxRecipients
	s.smtp.WriteTimeout = idleTime
	s.smtp.EnableSMTPUTF8 = true // names may have any letters
	s.smtp.ErrorLog = slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug)
	if certificate != nil {
		s.smtp.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}}
	}
	s.smtp.AllowInsecureAuth = authInTheClear
	s.serving.Go(func() { _ = s.smtp.Serve(idleListener{s.listener}) }) // it ends when stop closes the listener
}

// stop takes no more mail, waits for what is being taken and closes all
// connections. A sender whose connection ends before its 250 sends again.
func (s *server) stop(ctx context.Context) error {
	if s.smtp == nil {
		return nil
	}
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	_ = s.listener.Close()
	taken := make(chan struct{})
	go func() {
		s.taking.Wait()
		close(taken)
	}()
	select {
	case <-taken:
	case <-ctx.Done():
	}
	_ = s.smtp.Close() // the listener is closed already, which it says
	s.serving.Wait()
	return nil
}

// take reports whether a mail may still be taken. done must follow.
func (s *server) take() (done func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return nil, false
	}
	s.taking.Add(1)
	return s.taking.Done, true
}

// session is one client's connection.
type session struct {
	server *server
	remote string
	token  string

	from       string
	recipients []recipient
}

// recipient is what an address stands for.
type recipient struct {
	address  string
	sendType sdk.SendType
	target   string
}

var _ smtp.AuthSession = (*session)(nil)

// AuthMechanisms are those that bring a token along.
func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

// Auth takes the relay's token as the password; the user's name does not matter.
func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, _, password string) error {
		ctx, cancel := context.WithTimeout(s.server.ctx, publishTime)
		defer cancel()
		if err := s.server.host.CheckToken(ctx, sdk.Credentials{Token: password, Remote: s.remote}); err != nil {
			return authRefusal(err)
		}
		s.token = password
		return nil
	}), nil
}

// Mail begins a mail.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.token == "" && !s.server.withoutToken {
		return errAuthRequired
	}
	s.from = from
	return nil
}

// Rcpt adds a recipient. Whether there is such a receiver shows when the mail is
// published.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	at := strings.LastIndexByte(to, '@')
	if at < 1 {
		return errNotHere
	}
	r := recipient{address: to, target: to[:at]}
	switch domain := to[at+1:]; {
	case strings.EqualFold(domain, s.server.settings.Domain):
		r.sendType = sdk.Personal
	case strings.EqualFold(domain, s.server.settings.GroupDomain):
		r.sendType = sdk.Group
	default:
		return errNotHere
	}
	s.recipients = append(s.recipients, r)
	return nil
}

// Data takes the mail: 250 means that it is on disk for all recipients.
func (s *session) Data(r io.Reader) error {
	done, ok := s.server.take()
	if !ok {
		return errStopping
	}
	defer done()
	mail := &transfer{r: r}
	parsed, err := parse(mail)
	if err == nil {
		_, _ = io.Copy(io.Discard, mail) // what need not be read must have come, too
	}
	if mail.err != nil {
		return transferRefusal(mail.err)
	}
	if err != nil {
		return parseRefusal(err)
	}
	if parsed.loops {
		return errLoop
	}
	ctx, cancel := context.WithTimeout(s.server.ctx, publishTime)
	defer cancel()
	credentials := sdk.Credentials{Token: s.token, Trusted: s.server.withoutToken, Remote: s.remote}
	if s.token != "" {
		credentials.Trusted = false // what is given is checked
	}
	var refusals []*smtp.SMTPError
	for _, to := range s.recipients {
		published, err := s.server.host.Publish(ctx, parsed.publish(credentials, s.from, to))
		if refused := refusalOf(published, err); refused != nil {
			refusals = append(refusals, &smtp.SMTPError{
				Code: refused.Code, EnhancedCode: refused.EnhancedCode, Message: to.address + ": " + refused.Message,
			})
		}
	}
	// One answer stands for all recipients. A passing failure wins: the mail comes
	// again, and those that have it do not get it twice. Nobody is told 250 while
	// somebody goes without.
	var worst *smtp.SMTPError
	for _, refused := range refusals {
		if worst == nil || !worst.Temporary() && refused.Temporary() {
			worst = refused
		}
	}
	if worst != nil { // else it would be no nil error
		return worst
	}
	return nil
}

// transfer is a mail on its way in. It keeps why it did not come whole: what
// reads it tells that in words of its own, or does not read it all.
type transfer struct {
	r   io.Reader
	err error
}

func (t *transfer) Read(b []byte) (int, error) {
	n, err := t.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		t.err = err
	}
	return n, err
}

// Reset forgets the mail, not the client.
func (s *session) Reset() { s.from, s.recipients = "", nil }

// Logout is called at the connection's end.
func (s *session) Logout() error { return nil }

func remoteOf(conn net.Conn) string {
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		return ""
	}
	return host
}
