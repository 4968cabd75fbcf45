package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"mpush/core/control"
)

func (o *operator) trace() *cobra.Command {
	return o.command(&cobra.Command{
		Use:   "trace MID",
		Short: "Show what became of a message, step by step",
		Long: `Trace shows a message whole, and for each receiver what happened and when: its
place in the queue, the first time it was sent, how many attempts there were, the
last failure, and how it ended. While it is open the routes tell where it is: in
flight, between two attempts (and when the next is), behind others, or that the
receiver is away. It is kept as long as the history (history.keep). Of the
attempts the first one's time, their number and the last failure are kept.`,
		Example: "  mpush trace 1596543210123\n  mpush trace 1596543210123 --json",
		Args:    cobra.ExactArgs(1),
	}, func(ctx context.Context, client *control.Client, out io.Writer, args []string) error {
		mid, err := midArgument(args[0])
		if err != nil {
			return err
		}
		trace, err := client.Trace(ctx, mid)
		if err != nil {
			return err
		}
		return o.print(out, trace, func(w io.Writer) { printTrace(w, &trace) })
	})
}

// instant is a moment to the millisecond.
func instant(t control.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05.000")
}

func printTrace(w io.Writer, trace *control.Trace) {
	printMessage(w, &trace.Message)
	for i := range trace.Deliveries {
		d := &trace.Deliveries[i]
		why := ""
		if d.Reason != "" {
			why = " (" + clean(d.Reason) + ")"
		}
		fmt.Fprintf(w, "\n%s: %s%s\n", clean(d.Receiver), d.Status, why)
		for _, s := range steps(&trace.Message, d) {
			fmt.Fprintf(w, "  %s\t%s\n", cmp.Or(s.when, "now"), s.what)
		}
	}
}

// step is one line of a story.
type step struct{ when, what string }

// steps tell what happened to a message on its way to one receiver.
func steps(m *control.Message, d *control.Delivery) []step {
	story := []step{{instant(m.AcceptedAt), fmt.Sprintf("accepted and stored, place %d in the queue", d.Seq)}}
	if !d.SentAt.IsZero() {
		story = append(story, step{instant(d.SentAt), "sent for the first time" + later(m.AcceptedAt, d.SentAt)})
	}
	sofar := "so far"
	if !d.EndedAt.IsZero() {
		sofar = "in between"
	}
	if d.Tries > 1 {
		story = append(story, step{sofar, fmt.Sprintf("%d attempts in all", d.Tries)})
	}
	if d.Error != "" {
		story = append(story, step{sofar, "the last failure: " + clean(d.Error)})
	}
	took := later(m.AcceptedAt, d.EndedAt)
	switch d.State {
	case "acked":
		return append(story, step{instant(d.EndedAt), "acknowledged by the receiver" + took})
	case "handed-off":
		return append(story, step{instant(d.EndedAt), "handed to another service (" + d.Status + ")" + took})
	case "dead":
		return append(story, step{instant(d.EndedAt), "dead: " + cmp.Or(clean(d.Reason), "it does not say why") + took})
	}
	if len(d.Routes) == 0 {
		story = append(story, step{"", "no route leads to the receiver: the message waits in the queue"})
	}
	for i := range d.Routes {
		story = append(story, step{"", d.Routes[i].Channel + ": " + wayText(&d.Routes[i])})
	}
	return story
}

func wayText(way *control.Way) string {
	switch way.State {
	case "in-flight":
		text := fmt.Sprintf("attempt %d is under way", way.Attempt)
		if !way.Next.IsZero() {
			text += ", unanswered it is sent again at " + instant(way.Next)
		}
		return text
	case "paused":
		return fmt.Sprintf("attempt %d failed, the next is at %s", way.Attempt, instant(way.Next))
	case "passed":
		return "done with it here"
	case "queued":
		return "behind other messages, or about to be sent"
	default:
		return "the receiver is away: the message waits in the queue"
	}
}

// later tells how long after the beginning something was.
func later(from, to control.Time) string {
	took := to.Sub(from.Time).Round(time.Millisecond)
	if from.IsZero() || to.IsZero() || took < 0 {
		return ""
	}
	return fmt.Sprintf(", %v after it was accepted", took)
}
