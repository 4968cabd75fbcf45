// Command mpush is the relay and, run by itself as a subprocess, each of its
// bundled channels.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// version is the program's.
const version = "0.1.0"

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		// A second signal ends what the first does not, from the moment on at
		// which anybody can tell that the first has come.
		signal.Stop(signals)
		cancel()
	}()
	if err := root().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "mpush:", err)
		os.Exit(exitCode(err))
	}
}
