package listen

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
)

// Serve serves on a listener until the server is shut down or closed. A listener
// may also end by itself, by a fault of the system's: nobody could connect any
// more, and nothing else would show it. So the process ends then, with code 1 and
// the reason in the log, and the core starts the channel anew.
func Serve(server *http.Server, listener net.Listener) {
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		slog.Error("nobody can connect any more, the channel must be started anew", "address", listener.Addr().String(), "err", err)
		os.Exit(1)
	}
}
