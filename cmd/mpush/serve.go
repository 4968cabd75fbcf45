package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"mpush/core"
	"mpush/core/supervisor"
	"mpush/sdk/pluginpb"
)

// serve runs the relay until ctx ends.
func serve(ctx context.Context, s *settings, cmd *cobra.Command) error {
	if os.Getenv(pluginpb.CookieKey) != "" {
		return errors.New("this is the relay, not a plugin: its channels are run as \"mpush plugin run NAME\"")
	}
	// Whoever read the log may be gone, as after Ctrl-C in "mpush serve 2>&1 | tee
	// log". A line that nobody reads does not end the relay; SIGPIPE would. It is
	// caught rather than ignored, since plugins would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	reloads := newReloader(s)
	defer reloads.close()
	options, err := s.options()
	if err != nil {
		return err
	}
	relay, err := core.New(ctx, options)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var reloading sync.WaitGroup
	serving := func() { reloading.Go(func() { reloads.run(ctx, relay) }) }
	err = relay.Run(ctx, serving, func(channels []supervisor.Status) { banner(cmd.OutOrStdout(), &options, channels) })
	cancel()
	reloading.Wait()
	if closed := relay.Close(); err == nil {
		err = closed
	}
	return err
}

// banner says what a person who has just started the relay wants to know.
func banner(w io.Writer, options *core.Options, channels []supervisor.Status) {
	fmt.Fprintf(w, "mpush %s is up: config %s, data %s\n", version, options.Config.Path, options.DataDir)
	for _, c := range channels {
		state := cmp.Or(strings.Join(c.Endpoints, ", "), "running")
		if c.State != supervisor.Running {
			state = string(c.State)
			if c.LastError != "" { // a reload may have begun it just now
				state += ": " + c.LastError
			}
		}
		fmt.Fprintf(w, "  %-12s %-28s pid %d\n", c.Channel, state, c.PID)
	}
	if options.Config.WeakToken() {
		fmt.Fprintf(w, `
The token is empty or well known, so this is for trying out: listeners without
an explicit host are on loopback only. Set a strong "token" in %s
(for example: openssl rand -hex 24) to be reached from other machines.
`, options.Config.Path)
	}
	if len(channels) > 0 {
		fmt.Fprintln(w, "Stop with Ctrl-C.")
	}
}

// check asks every channel about its section.
func check(cmd *cobra.Command, s *settings) error {
	options, err := s.options()
	if err != nil {
		return err
	}
	if err := core.Check(cmd.Context(), options); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s is right\n", options.Config.Path)
	return nil
}
