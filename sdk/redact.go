package sdk

import (
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Format shows neither token nor session, whatever the verb.
func (c Credentials) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "{%s trusted:%t remote:%q}", redacted, c.Trusted, c.Remote)
}

// LogValue shows neither token nor session, in any format of a log.
func (c Credentials) LogValue() slog.Value {
	return slog.GroupValue(slog.String("secrets", redacted), slog.Bool("trusted", c.Trusted), slog.String("remote", c.Remote))
}
