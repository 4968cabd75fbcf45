package webhook

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
)

// refusal is a failure in words of ours.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

// reason tells why a request got no answer. It holds neither urls nor what an
// endpoint chose to say, which might be the token or the message come back.
func reason(err error) string {
	if own, ok := errors.AsType[*refusal](err); ok {
		return own.text
	}
	operation, isOp := errors.AsType[*net.OpError](err)
	if isOp && (operation.Op == "proxyconnect" || operation.Op == "socks connect") {
		return "the proxy: " + reason(operation.Err)
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
