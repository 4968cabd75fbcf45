package main

import (
	"cmp"
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"mpush/core/control"
)

func listCommand(s *settings) *cobra.Command {
	o := &operator{settings: s}
	return o.command(&cobra.Command{
		Use:   "list",
		Short: "Show a running relay's channels: state, version, memory, queue, last error",
		Long: `List shows every channel of a running relay, those that are switched off last.

  PINNED     yes: it runs the executable of its "sha256"; bundled: it is the relay's own
  MEMORY     what its processes have resident; on Linux alone
  QUEUED     open messages of the receivers that have a route on it, even if
             another channel has them
  IN FLIGHT  messages that it holds, of how many it may (limits.inFlight)
  LAST ERROR why its last life ended, its own complaint, or what it did wrong`,
		Example: "  mpush plugin list --data data\n  mpush plugin list --json",
		Args:    cobra.NoArgs,
	}, func(ctx context.Context, client *control.Client, out io.Writer, _ []string) error {
		channels, err := client.Channels(ctx)
		if err != nil {
			return err
		}
		return o.print(out, channels, func(w io.Writer) { printChannels(w, channels) })
	})
}

func printChannels(w io.Writer, channels []control.Channel) {
	fmt.Fprintln(w, "NAME\tSTATE\tSINCE\tVERSION\tPINNED\tPID\tRESTARTS\tMEMORY\tQUEUED\tIN FLIGHT\tLAST ERROR")
	for i := range channels {
		c := &channels[i]
		pid, inFlight := "-", fmt.Sprint(c.InFlight)
		if c.PID != 0 {
			pid = fmt.Sprint(c.PID)
		}
		if c.MaxInFlight > 0 {
			inFlight += fmt.Sprintf("/%d", c.MaxInFlight)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%d\t%s\t%s\n", c.Name, c.State, moment(c.Since), cmp.Or(line(c.Version), "-"), pin(c), pid,
			c.Restarts, mebibytes(c.Memory), c.Queued, inFlight, cmp.Or(clean(remarks(c)), "-"))
	}
}

func pin(c *control.Channel) string {
	switch {
	case c.Bundled:
		return "bundled"
	case c.Pinned:
		return "yes"
	default:
		return "no"
	}
}

func mebibytes(bytes int64) string {
	if bytes == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
}
