package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"mpush/core/control"
)

// mostReceivers is how many the relay gives in one answer.
const mostReceivers = 1000

func (o *operator) receivers() *cobra.Command {
	after, limit := "", 0
	cmd := o.command(&cobra.Command{
		Use:   "receivers [NAME]",
		Short: "Show the receivers and their queues",
		Long: `Receivers lists those that the relay knows by their names, 100 at a time, or
shows one with its routes.

  UP         the channels on which it can be reached now
  QUEUED     messages that wait for it
  OLDEST     when the one that waits longest was accepted
  LAST SEEN  when it last came or registered; up to a day older for one that
             comes more often`,
		Example: "  mpush receivers\n  mpush receivers phone\n  mpush receivers --after phone --limit 1000 --json",
		Args:    cobra.MaximumNArgs(1),
	}, func(ctx context.Context, client *control.Client, out io.Writer, args []string) error {
		if err := checkLimit(limit, mostReceivers); err != nil {
			return err
		}
		if len(args) == 1 {
			receiver, err := client.Receiver(ctx, args[0])
			if err != nil {
				return err
			}
			return o.print(out, receiver, func(w io.Writer) { printReceiver(w, &receiver) })
		}
		page, err := client.Receivers(ctx, after, limit)
		if err != nil {
			return err
		}
		return o.print(out, page, func(w io.Writer) {
			fmt.Fprintln(w, "NAME\tGROUP\tUP\tQUEUED\tOLDEST\tLAST SEEN")
			for i := range page.Receivers {
				r := &page.Receivers[i]
				fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", line(r.Name), cmp.Or(line(r.Group), "-"), cmp.Or(upOf(r), "-"), r.Queued, moment(r.Oldest), moment(r.SeenAt))
			}
			if page.After != "" {
				fmt.Fprintf(w, "\nThere are more: mpush receivers --after %s\n", quoted(page.After))
			}
		})
	})
	cmd.Flags().StringVar(&after, "after", "", "begin after this name")
	cmd.Flags().IntVar(&limit, "limit", 100, fmt.Sprint("how many, at most ", mostReceivers))
	return cmd
}

// quoted is any text as a word for a shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(clean(text), "'", `'\''`) + "'" }

// upOf are the channels on which a receiver can be reached.
func upOf(r *control.Receiver) string {
	var up []string
	for _, route := range r.Routes {
		if route.Up {
			up = append(up, route.Channel)
		}
	}
	return strings.Join(up, ", ")
}

func printReceiver(w io.Writer, r *control.Receiver) {
	fmt.Fprintf(w, "name\t%s\n", clean(r.Name))
	fmt.Fprintf(w, "group\t%s\n", cmp.Or(clean(r.Group), "-"))
	fmt.Fprintf(w, "last seen\t%s\n", moment(r.SeenAt))
	fmt.Fprintf(w, "queued\t%s, %d bytes\n", count(r.Queued, "message"), r.QueuedBytes)
	if r.OldestMID != 0 {
		fmt.Fprintf(w, "oldest\t%d, accepted %s\n", r.OldestMID, moment(r.Oldest))
	}
	fmt.Fprintln(w, "\nROUTE\tKIND\tSTATE\tIN FLIGHT\tFAILURES\tNEXT TRY\tLAST ERROR")
	for _, route := range r.Routes {
		state := "down"
		switch {
		case route.Off:
			state = "channel is off"
		case route.Up:
			state = "up"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%s\n", route.Channel, route.Kind, state, route.InFlight, route.Failures, moment(route.Next), cmp.Or(line(route.Error), "-"))
	}
}

func (o *operator) forget() *cobra.Command {
	yes := false
	cmd := o.command(&cobra.Command{
		Use:   "forget NAME",
		Short: "Forget a receiver, its routes and its queue",
		Long: `Forget removes a receiver. What waits for it is lost: the messages are in the
history as failed, but can not be replayed. So it asks first if anything waits;
without a terminal --yes is needed then. A receiver that comes again begins anew.
One that the configuration names can not be forgotten.`,
		Example: "  mpush forget old-phone\n  mpush forget old-phone --yes",
		Args:    cobra.ExactArgs(1),
	}, func(ctx context.Context, client *control.Client, out io.Writer, args []string) error {
		receiver, err := client.Receiver(ctx, args[0])
		if err != nil {
			return err
		}
		if receiver.Queued > 0 && !yes {
			what := fmt.Sprintf("about %s for %s will be lost", count(receiver.Queued, "message"), clean(args[0]))
			if !isTerminal(os.Stdin) || !isTerminal(out) {
				return fmt.Errorf("%s: say --yes if that is meant", what)
			}
			fmt.Fprintf(out, "%s. Forget it? [y/N] ", what)
			if yes, err := confirmed(ctx, os.Stdin); err != nil || !yes {
				return cmp.Or(err, fmt.Errorf("%s is not forgotten", clean(args[0])))
			}
		}
		if err := client.Forget(ctx, args[0]); err != nil {
			return err
		}
		return o.print(out, struct {
			Forgotten string `json:"forgotten"`
		}{args[0]}, func(w io.Writer) { fmt.Fprintf(w, "%s is forgotten\n", clean(args[0])) })
	})
	cmd.Flags().BoolVar(&yes, "yes", false, "also if messages wait for it")
	return cmd
}

// confirmed reads the answer to a question; none is no.
func confirmed(ctx context.Context, in io.Reader) (bool, error) {
	return fromStdin(ctx, func() (bool, error) {
		answer, _ := bufio.NewReader(in).ReadString('\n')
		return strings.EqualFold(strings.TrimSpace(answer), "y"), nil
	})
}
