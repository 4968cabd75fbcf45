package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mpush/core/control"
)

// watchEvery is how often --watch looks.
const watchEvery = time.Second

func (o *operator) status() *cobra.Command {
	watch := false
	cmd := o.command(&cobra.Command{
		Use:   "status",
		Short: "Show how a running relay and its channels are",
		Long: `Status begins with what is wrong, if anything is. It shows the channels'
processes, how much is queued, how many messages a second come and are
acknowledged (over the last minute), and which receivers can not be reached:
those are tried again with growing pauses, and nothing but their own queues waits
for them.

  SINCE      when the channel came into its state
  MEMORY     what its processes have resident; on Linux alone
  QUEUED     open messages of the receivers that have a route on it`,
		Example: "  mpush status --data data\n  mpush status --watch\n  mpush status --json",
		Args:    cobra.NoArgs,
	}, func(ctx context.Context, client *control.Client, out io.Writer, _ []string) error {
		show := &screen{out: out}
		for seen := false; ; seen = true {
			status, err := client.Status(ctx)
			switch {
			case watch && ctx.Err() != nil: // Ctrl-C, while it was asked
				return nil
			case err != nil && !seen:
				return err
			case !watch:
				return o.print(out, status, func(w io.Writer) { printStatus(w, colors(out), &status) })
			}
			if err := o.showAgain(show, &status, err); err != nil {
				return err
			}
			select {
			case <-time.After(watchEvery):
			case <-ctx.Done():
				return nil
			}
		}
	})
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again and again, until Ctrl-C, also while the relay is started again")
	return cmd
}

// showAgain is one look of --watch. A relay that does not answer may be starting.
func (o *operator) showAgain(show *screen, status *control.Status, unanswered error) error {
	drawn := isTerminal(show.out) && !o.json
	switch {
	case unanswered != nil && drawn:
		show.show([]string{"mpush: " + clean(unanswered.Error())})
		return nil
	case unanswered != nil:
		fmt.Fprintln(os.Stderr, "mpush:", unanswered)
		return nil
	case !drawn:
		return o.print(show.out, status, func(w io.Writer) { printStatus(w, paint{}, status) })
	}
	var b bytes.Buffer
	if err := o.print(&b, status, func(w io.Writer) { printStatus(w, colors(show.out), status) }); err != nil {
		return err
	}
	show.show(strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n"))
	return nil
}

func printStatus(w io.Writer, painted paint, status *control.Status) {
	if status.Health.OK {
		fmt.Fprintln(w, painted.in(painted.green, "ok"))
	} else {
		fmt.Fprintln(w, painted.in(painted.red, "NOT OK"))
	}
	for _, t := range status.Health.Troubles {
		since := ""
		if !t.Since.IsZero() {
			since = " since " + moment(t.Since)
		}
		fmt.Fprintf(w, "  %s%s: %s\n", cmp.Or(t.Channel, "mpush"), since, clean(t.Reason))
	}
	fmt.Fprintf(w, "mpush %s, pid %d, since %s\n\n", clean(status.Version), status.PID, moment(status.Since))
	fmt.Fprintln(w, "CHANNEL\tSTATE\tSINCE\tPID\tRESTARTS\tMEMORY\tQUEUED\tLISTENS AT")
	for i := range status.Channels {
		c := &status.Channels[i]
		pid := "-"
		if c.PID != 0 {
			pid = fmt.Sprint(c.PID)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%d\t%s\n", c.Name, c.State, moment(c.Since), pid, c.Restarts, mebibytes(c.Memory), c.Queued,
			cmp.Or(clean(strings.Join(c.Endpoints, ", ")), "-"))
	}
	// Apart, since they are whole.
	for i := range status.Channels {
		if text := remarks(&status.Channels[i]); text != "" {
			fmt.Fprintf(w, "  %s  %s\n", status.Channels[i].Name, clean(text))
		}
	}
	fmt.Fprintf(w, "\n%s, %s up, %s queued\n", count(int64(status.Receivers), "receiver"), count(int64(status.Routes), "route"), count(status.Queued, "message"))
	fmt.Fprintf(w, "%.1f accepted and %.1f acknowledged a second, over the last %.0f s\n", status.Rates.Accepted, status.Rates.Acked, status.Rates.Seconds)
	if len(status.Failing) > 0 {
		fmt.Fprintln(w, "\nFAILING\tCHANNEL\tIN A ROW\tNEXT TRY\tLAST ERROR")
		for _, f := range status.Failing {
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", line(f.Receiver), f.Channel, f.Failures, moment(f.Next), line(f.Error))
		}
	}
}

// count is a number with its noun.
func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// remarks are what an operator should know of a channel, the most urgent first:
// why it does not run or is ill, why it was started again, what it did wrong.
func remarks(c *control.Channel) string {
	var all []string
	if c.Unhealthy != "" {
		all = append(all, c.Unhealthy)
	}
	if c.Error != "" {
		text := c.Error
		if c.Restarts > 0 && c.State == control.Running {
			text = "started again, its last life ended: " + text
		}
		all = append(all, text)
	}
	if c.Misconduct != "" {
		all = append(all, "misconduct: "+c.Misconduct)
	}
	return strings.Join(all, "; ")
}
