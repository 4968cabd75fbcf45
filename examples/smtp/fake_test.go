package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"math/big"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// mailServer stands for the server that takes mail for submission. It speaks
// SMTP from its own reading of RFC 5321, and reads mails with the standard
// library alone.
type mailServer struct {
	listener net.Listener
	options  mailServerOptions
	open     sync.WaitGroup

	mu    sync.Mutex
	mails []received
	conns map[net.Conn]bool
	grown chan struct{}
}

type mailServerOptions struct {
	// answers replace the usual one to a command, by its first word, and "." for
	// that to a whole mail; "hang up" ends the connection.
	answers map[string]string
	// tls is a certificate for STARTTLS, or from the first byte.
	tls      *tls.Certificate
	implicit bool
	// login is the name and password that are asked for, "name password".
	login string
}

// received is a mail that was taken.
type received struct {
	from, to string // of the envelope
	header   mail.Header
	subject  string
	body     string
}

func startMailServer(t *testing.T, o mailServerOptions) *mailServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if o.implicit {
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{*o.tls}})
	}
	s := &mailServer{listener: listener, options: o, conns: map[net.Conn]bool{}, grown: make(chan struct{})}
	s.open.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[conn] = true
			s.mu.Unlock()
			s.open.Go(func() {
				defer conn.Close()
				s.serve(t, conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		s.mu.Lock()
		for conn := range s.conns {
			_ = conn.Close()
		}
		s.mu.Unlock()
		s.open.Wait()
	})
	return s
}

func (s *mailServer) address() string { return s.listener.Addr().String() }

func (s *mailServer) serve(t *testing.T, conn net.Conn) {
	lines := bufio.NewReader(conn)
	say := func(text string) bool {
		_, err := io.WriteString(conn, text+"\r\n")
		return err == nil
	}
	answer := func(command, usual string) bool {
		if other, ok := s.options.answers[command]; ok {
			usual = other
		}
		return usual != "hang up" && say(usual)
	}
	secure, loggedIn := s.options.implicit, s.options.login == ""
	var envelope received
	if !answer("greeting", "220 fake ESMTP") {
		return
	}
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		word, rest, _ := strings.Cut(line, " ")
		ok := true
		switch word = strings.ToUpper(word); {
		case word == "EHLO":
			text := "250-fake\r\n250-ENHANCEDSTATUSCODES\r\n"
			if s.options.tls != nil && !secure {
				text += "250-STARTTLS\r\n"
			}
			if s.options.login != "" {
				text += "250-AUTH PLAIN\r\n"
			}
			ok = answer(word, text+"250 8BITMIME")
		case word == "STARTTLS" && s.options.tls != nil && !secure:
			if ok = answer(word, "220 go ahead"); !ok {
				break
			}
			encrypted := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*s.options.tls}})
			if encrypted.Handshake() != nil {
				return
			}
			conn, lines, secure = encrypted, bufio.NewReader(encrypted), true
		case word == "AUTH":
			given, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(rest, "PLAIN "))
			if strings.Join(strings.Split(string(given), "\x00"), " ") == " "+s.options.login {
				loggedIn = true
				ok = answer(word, "235 2.7.0 welcome")
			} else {
				ok = answer(word, "535 5.7.8 who are you")
			}
		case word == "RSET", word == "NOOP":
			ok = say("250 2.0.0 ok")
		case word == "QUIT":
			say("221 2.0.0 bye")
			return
		case !loggedIn:
			ok = say("530 5.7.0 log in first")
		case word == "MAIL":
			envelope = received{from: path(rest)}
			ok = answer(word, "250 2.1.0 ok")
		case word == "RCPT":
			envelope.to = path(rest)
			ok = answer(word, "250 2.1.5 ok")
		case word == "DATA":
			if ok = answer(word, "354 go on"); !ok || s.options.answers[word] != "" {
				break
			}
			text, err := readMail(lines)
			if err != nil {
				return
			}
			if other, refused := s.options.answers["."]; refused && !strings.HasPrefix(other, "2") {
				ok = answer(".", "")
				break
			}
			s.keep(t, envelope, text)
			ok = answer(".", "250 2.0.0 taken")
		default:
			ok = say("502 5.5.1 what?")
		}
		if !ok {
			return
		}
	}
}

func path(text string) string {
	_, text, _ = strings.Cut(text, "<")
	text, _, _ = strings.Cut(text, ">")
	return text
}

func readMail(lines *bufio.Reader) (string, error) {
	var text strings.Builder
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return "", err
		}
		if line == ".\r\n" {
			return text.String(), nil
		}
		text.WriteString(strings.TrimPrefix(line, "."))
	}
}

// keep reads a mail and remembers it.
func (s *mailServer) keep(t *testing.T, m received, text string) {
	parsed, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Errorf("a mail that can not be read: %v", err)
		return
	}
	m.header = parsed.Header
	if m.subject, err = new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject")); err != nil {
		t.Errorf("subject: %v", err)
	}
	if got := parsed.Header.Get("Content-Transfer-Encoding"); !strings.EqualFold(got, "quoted-printable") {
		t.Errorf("encoding %q", got)
	}
	if kind, params, _ := mime.ParseMediaType(parsed.Header.Get("Content-Type")); kind != "text/plain" || !strings.EqualFold(params["charset"], "utf-8") {
		t.Errorf("content type %q %q", kind, params)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(parsed.Body))
	if err != nil {
		t.Errorf("body: %v", err)
	}
	m.body = strings.TrimRight(strings.ReplaceAll(string(body), "\r\n", "\n"), "\n")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, m)
	close(s.grown)
	s.grown = make(chan struct{})
}

// until waits for the mails to meet a condition, and returns them.
func (s *mailServer) until(t *testing.T, condition func([]received) bool) []received {
	t.Helper()
	timeout := time.After(60 * time.Second)
	for {
		s.mu.Lock()
		mails, grown := slices.Clone(s.mails), s.grown
		s.mu.Unlock()
		if condition(mails) {
			return mails
		}
		select {
		case <-grown:
		case <-timeout:
			t.Fatalf("%d mails came, and not what is awaited", len(mails))
		}
	}
}

// certificateFor makes a certificate for 127.0.0.1 and who trusts it.
func certificateFor(t *testing.T) (*tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}
