// Package ca is a certificate authority for tests: it writes pairs of PEM files
// for loopback, and gives clients the root that they trust.
package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates. One goroutine at a time may use it.
type Authority struct {
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	serial int64
}

// New makes an authority with a key of its own.
func New(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{}
	template := a.template("mpush test root")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *Authority) template(name string) *x509.Certificate {
	a.serial++
	return &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
}

// Pool is what trusts the authority.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Root writes the authority's own certificate, for programs that take a file.
func (a *Authority) Root(t testing.TB, path string) {
	t.Helper()
	write(t, path, "CERTIFICATE", a.cert.Raw)
}

// Pair is a certificate with its key, PEM.
type Pair struct{ Cert, Key []byte }

// Issue makes a certificate for localhost and loopback addresses whose subject
// is name. It ends after so long, which may be negative.
func (a *Authority) Issue(t testing.TB, name string, lasts time.Duration) Pair {
	t.Helper()
	template := a.template(name)
	template.NotBefore, template.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(lasts)
	template.DNSNames = []string{"localhost"}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return Pair{encode("CERTIFICATE", der), encode("PRIVATE KEY", private)}
}

// Write puts the pair into a directory as cert.pem and key.pem, each replaced in
// one step, as programs that renew certificates do.
func (p Pair) Write(t testing.TB, dir string) {
	t.Helper()
	replace(t, filepath.Join(dir, "cert.pem"), p.Cert)
	replace(t, filepath.Join(dir, "key.pem"), p.Key)
}

func replace(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, encode(kind, der), 0o600); err != nil {
		t.Fatal(err)
	}
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
