package dial

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"testing"
)

func TestReasonsHoldNothingPrivate(t *testing.T) {
	const private = "pr1vate"
	certificate := &x509.Certificate{DNSNames: []string{private}}
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	for want, err := range map[string]error{
		"its host can not be looked up":                               dial(&net.DNSError{Err: "no such host", Name: private}),
		"the proxy: its host can not be looked up":                    &net.OpError{Op: "proxyconnect", Err: dial(&net.DNSError{Name: private})},
		"the proxy: unknown error general SOCKS server failure":       &net.OpError{Op: "socks connect", Err: errors.New("unknown error general SOCKS server failure")},
		"dial: i/o timeout":                                           dial(errors.New("i/o timeout")),
		"TLS: its certificate is not valid for its host":              &tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: certificate, Host: private}},
		"TLS: its certificate has expired or is not valid yet":        &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Cert: certificate, Reason: x509.Expired, Detail: private}},
		"TLS: its certificate is not accepted":                        &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Cert: certificate, Reason: x509.NotAuthorizedToSign}},
		"TLS: it does not speak TLS":                                  tls.RecordHeaderError{Msg: private},
		"http2: server sent GOAWAY and closed the connection; debug=": errors.New(`http2: server sent GOAWAY and closed the connection; debug="` + private + `"`),
		"failed to parse Location header":                             &url.Error{Op: "Post", URL: private, Err: fmt.Errorf("failed to parse Location header %q: %v", private, private)},
		"net/http: timeout awaiting response headers":                 errors.New("net/http: timeout awaiting response headers"),
	} {
		if got := Reason(err); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
