package listen

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mpush/sdk"
)

// TLS is the setting of a channel that encrypts by itself, for operators without
// a reverse proxy. In a bundled channel's section the paths are relative to the
// configuration file; in a third party's they are as the plugin gets them, so
// absolute ones are best.
type TLS struct {
	// Cert is the file with the chain of certificates.
	Cert string `json:"cert" jsonschema:"required,minLength=1" jsonschema_extras:"x-example=\"tls/fullchain.pem\"" jsonschema_description:"The file with the certificate and those between it and the root, PEM. It is read again when it changes, and so is the key."`
	// Key is the file with the private key.
	Key string `json:"key" jsonschema:"required,minLength=1" jsonschema_extras:"x-example=\"tls/privkey.pem\"" jsonschema_description:"The file with its private key, PEM, without a password."`
}

// lookEvery is how long a certificate is used before its files are looked at
// again.
const lookEvery = time.Second

// Certificate is a pair of files that is served and followed: the first handshake
// a second after they have changed is done with what they hold then. A pair that
// does not fit is logged, and the one before stays. Safe for concurrent use; it
// has no goroutine and needs no end.
type Certificate struct {
	files  TLS
	key    string // the setting's, for the log
	config *tls.Config
	now    func() time.Time

	served atomic.Pointer[tls.Certificate]

	mu     sync.Mutex // is held by the handshake that looks at the files
	looked time.Time
	stamp  stamp // of what was read last, whether it fitted or not
}

// Load reads the pair of a channel's setting key ("tls"). Nil files are no
// setting, and give a nil Certificate, which leaves connections as they are. It
// is called from Configure; the error is an [sdk.Invalidity] at the file's key.
// A certificate that is out of date is served, with a warning.
func Load(config *sdk.Config, key string, files *TLS) (*Certificate, error) {
	if files == nil {
		return nil, nil
	}
	c := &Certificate{files: *files, key: config.Channel + "." + key, now: time.Now}
	c.stamp, c.looked = files.stamp(), c.now()
	pair, fault := files.read(key)
	if fault != nil {
		return nil, fault
	}
	c.served.Store(pair)
	if now := c.now(); now.After(pair.Leaf.NotAfter) || now.Before(pair.Leaf.NotBefore) {
		config.Warn(key+".cert", "%s is valid from %s to %s only: clients will refuse it", files.Cert,
			pair.Leaf.NotBefore.Format(time.DateOnly), pair.Leaf.NotAfter.Format(time.DateOnly))
	}
	c.config = &tls.Config{
		MinVersion: tls.VersionTLS12,
		// With HTTP/2 a connection would be many requests, and the limits of
		// connections would mean something else.
		NextProtos:     []string{"http/1.1"},
		GetCertificate: c.current,
	}
	return c, nil
}

// current is the certificate for the next handshake. Only one at a time looks at
// the files; the others do not wait for the disk.
func (c *Certificate) current(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.mu.TryLock() {
		if now := c.now(); now.Sub(c.looked) >= lookEvery {
			c.looked = now
			c.look()
		}
		c.mu.Unlock()
	}
	return c.served.Load(), nil
}

// look reads the files if they are others than before. Call with mu held.
func (c *Certificate) look() {
	now := c.files.stamp()
	if now.same(c.stamp) {
		return
	}
	c.stamp = now
	pair, err := c.files.read(c.key)
	if err != nil {
		slog.Error("certificate has changed and can not be used, the one before stays", "err", err)
		return
	}
	c.served.Store(pair)
	slog.Info("certificate has changed", "key", c.key, "until", pair.Leaf.NotAfter)
}

// Listener has all connections of inner encrypted; a nil Certificate none.
func (c *Certificate) Listener(inner net.Listener) net.Listener {
	if c == nil {
		return inner
	}
	return &secureListener{inner, c}
}

// Refusal is what a listener whose connections are encrypted by c may write to
// one that it refuses: text in the clear, or nothing.
func (c *Certificate) Refusal(text []byte) []byte {
	if c == nil {
		return text
	}
	return nil
}

// URL is how a channel names an endpoint: scheme and address, or the address
// alone for a nil Certificate.
func (c *Certificate) URL(scheme, address string) string {
	if c == nil {
		return address
	}
	return scheme + "://" + address
}

// Server is the encrypted connection over conn, which c must not be nil for. The
// handshake is part of the first Read, so a deadline of reads is its deadline,
// too.
func (c *Certificate) Server(conn net.Conn) *SecureConn {
	return &SecureConn{Conn: tls.Server(conn, c.config)}
}

type secureListener struct {
	net.Listener
	certificate *Certificate
}

// Accept returns the next connection, before its handshake.
func (l *secureListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.certificate.Server(conn), nil
}

// SecureConn is a TLS connection of a server.
type SecureConn struct{ *tls.Conn }

// Read reads. A client that speaks HTTP in the clear is told what it did wrong.
func (c *SecureConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if plain, ok := errors.AsType[tls.RecordHeaderError](err); ok && plain.Conn != nil && looksLikeHTTP(plain.RecordHeader[:]) {
		// Whoever does not read it has left.
		_, _ = plain.Conn.Write(refusalHTTP("400 Bad Request", "this port speaks TLS: use https:// or wss://"))
		return n, io.EOF
	}
	return n, err
}

func looksLikeHTTP(head []byte) bool {
	for _, method := range []string{"GET /", "HEAD ", "POST ", "PUT /", "OPTIO"} {
		if string(head) == method {
			return true
		}
	}
	return false
}

// maxPEMBytes is more than any chain of certificates has.
const maxPEMBytes = 1 << 20

// read reads the pair. Its Leaf is set. key is the setting's, for the fault.
func (t *TLS) read(key string) (*tls.Certificate, error) {
	cert, err := readPEM(t.Cert)
	if err != nil {
		return nil, sdk.Invalid(key+".cert", "%v", err)
	}
	block, _ := pem.Decode(cert)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, sdk.Invalid(key+".cert", "%s does not begin with a certificate in PEM", t.Cert)
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		return nil, sdk.Invalid(key+".cert", "%s: %v", t.Cert, err)
	}
	private, err := readPEM(t.Key)
	if err != nil {
		return nil, sdk.Invalid(key+".key", "%v", err)
	}
	pair, err := tls.X509KeyPair(cert, private)
	if err != nil {
		return nil, sdk.Invalid(key+".key", "%s with %s: %s", t.Key, t.Cert, strings.TrimPrefix(err.Error(), "tls: "))
	}
	return &pair, nil
}

func readPEM(path string) ([]byte, error) {
	// Not opened before it is known to be a file: opening a pipe would wait.
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	case info.Size() > maxPEMBytes:
		return nil, fmt.Errorf("%s is larger than %d KiB", path, maxPEMBytes>>10)
	}
	return os.ReadFile(path)
}

// stamp tells whether files are others than before, without reading them. A file
// that is not there is nil.
type stamp [2]fs.FileInfo

func (t *TLS) stamp() (s stamp) {
	for i, path := range []string{t.Cert, t.Key} {
		if info, err := os.Stat(path); err == nil {
			s[i] = info
		}
	}
	return s
}

func (s stamp) same(other stamp) bool {
	for i := range s {
		a, b := s[i], other[i]
		if a == nil || b == nil {
			if a != b {
				return false
			}
			continue
		}
		if !os.SameFile(a, b) || a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime()) {
			return false
		}
	}
	return true
}
