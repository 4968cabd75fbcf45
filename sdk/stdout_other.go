//go:build !unix

package sdk

// divertStdout does nothing: there is one stdout, and go-plugin needs it for
// the handshake.
func divertStdout() error { return nil }
