package dial

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"
)

// Reason tells in a few words why a request got no answer; err is what an
// http.Client or its transport returned. It holds neither urls nor what the other
// side chose to say, which might be a token or a message come back, and which
// might be long.
func Reason(err error) string {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err // its own text has the url
	}
	operation, isOp := errors.AsType[*net.OpError](err)
	if isOp && (operation.Op == "proxyconnect" || operation.Op == "socks connect") {
		return "the proxy: " + Reason(operation.Err)
	}
	switch {
	case is[*net.DNSError](err):
		return "its host can not be looked up"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed before an answer"
	case is[x509.UnknownAuthorityError](err):
		return "TLS: its certificate is signed by an unknown authority"
	case is[x509.HostnameError](err):
		return "TLS: its certificate is not valid for its host"
	case is[x509.CertificateInvalidError](err):
		invalid, _ := errors.AsType[x509.CertificateInvalidError](err)
		if invalid.Reason == x509.Expired {
			return "TLS: its certificate has expired or is not valid yet"
		}
		return "TLS: its certificate is not accepted"
	case is[*tls.CertificateVerificationError](err):
		return "TLS: its certificate is not accepted"
	case is[tls.RecordHeaderError](err):
		return "TLS: it does not speak TLS"
	case isOp:
		return operation.Op + ": " + operation.Err.Error()
	}
	text := err.Error()
	if strings.Contains(text, "malformed") {
		return "the answer is not HTTP"
	}
	text = strings.TrimPrefix(text, "net/http: HTTP/1.x transport connection broken: ")
	// net/http quotes what it was sent.
	text, _, _ = strings.Cut(text, `"`)
	return strings.TrimRight(text, " :")
}

func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}
