package sdk

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"

	"mpush/sdk/pluginpb"
)

// serveDebug serves one life of the plugin on a socket that the operator's entry
// names as "reattach", and waits there for the core. Standard streams are left
// alone, an interrupt ends the process, and nobody else does.
func serveDebug(p Plugin, path string) error {
	if err := contradiction(p); err != nil {
		return err
	}
	if err := removeSocket(path); err != nil {
		return err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	defer os.Remove(path)
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	s := newServer(p)
	g := grpc.NewServer(serverOptions()...)
	pluginpb.RegisterPluginServer(g, s)
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-s.ended:
		case <-interrupts:
			s.coreGone()
		}
		g.Stop()
	}()
	m := p.Describe()
	fmt.Fprintf(os.Stderr, "%s waits for mpush on %s (process %d); in config.json: \"plugins\": { %q: { \"reattach\": %q, \"config\": {…} } }\n",
		m.Name, path, os.Getpid(), m.Name, path)
	err = g.Serve(listener)
	slog.Info("the core has left, or was interrupted")
	return err
}

// removeSocket removes what an earlier life has left, and nothing else.
func removeSocket(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there already and is no socket", path)
	default:
		return os.Remove(path)
	}
}
