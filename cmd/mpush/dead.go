package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/spf13/cobra"

	"mpush/core/control"
)

// selection is which dead letters a command is about.
type selection struct {
	receiver string
	all      bool
}

func (o *operator) dead() *cobra.Command {
	group := &cobra.Command{
		Use:   "dead",
		Short: "List, show, replay and drop dead letters",
		Long: `A dead letter is a message that a receiver did not get: it expired, or was
rejected by the endpoint for good. It is kept as long as the history. What waited
for a receiver that is forgotten by now is no letter, since nobody is left to get
it; "mpush trace" has it.`,
		Example: `  mpush dead list
  mpush dead show 1596543210123
  mpush dead replay 1596543210123 phone`,
	}
	group.AddCommand(o.deadList(), o.deadShow(), o.deadEach(
		&cobra.Command{
			Use:   "replay [MID [RECEIVER]]",
			Short: "Queue dead letters again: same mid, at the end of the queue",
			Long: `Replay queues dead letters again, the oldest first. Where a queue is full, those
of its receiver are left, the others' go on, and the exit code is 1.`,
			Example: `  mpush dead replay 1596543210123
  mpush dead replay --all --receiver phone`,
		}, "replayed", (*control.Client).Replay,
	), o.deadEach(
		&cobra.Command{
			Use:   "drop [MID [RECEIVER]]",
			Short: "Take dead letters off the list; the history keeps them",
			Example: `  mpush dead drop 1596543210123 phone
  mpush dead drop --all`,
		}, "dropped", (*control.Client).Drop,
	))
	return group
}

// mostLetters is how many dead letters the relay gives in one answer, and those
// of one message besides.
const mostLetters = 1000

func (o *operator) deadList() *cobra.Command {
	var receiver, below string
	var limit int
	c := o.command(&cobra.Command{
		Use:     "list",
		Short:   "List dead letters, the newest first",
		Example: "  mpush dead list --receiver phone --limit 20",
		Args:    cobra.NoArgs,
	}, func(ctx context.Context, client *control.Client, out io.Writer, _ []string) error {
		if err := checkLimit(limit, mostLetters); err != nil {
			return err
		}
		var from control.MID
		if below != "" {
			var err error
			if from, err = midArgument(below); err != nil {
				return err
			}
		}
		page, err := client.Dead(ctx, receiver, from, limit)
		if err != nil {
			return err
		}
		return o.print(out, page, func(w io.Writer) {
			if len(page.Letters) == 0 {
				fmt.Fprintln(w, "no dead letters")
				return
			}
			fmt.Fprintln(w, "MID\tRECEIVER\tREASON\tTRIES\tENDED\tTEXT\tLAST ERROR")
			for i := range page.Letters {
				m, d := &page.Letters[i].Message, &page.Letters[i].Delivery
				fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\t%s\t%s\n", m.MID, line(d.Receiver), d.Reason, d.Tries, moment(d.EndedAt), line(m.Text), cmp.Or(line(d.Error), "-"))
			}
			if page.Below != 0 {
				fmt.Fprintf(w, "\nmore: --below %d\n", page.Below)
			}
		})
	})
	c.Flags().StringVar(&receiver, "receiver", "", "of this receiver alone")
	c.Flags().StringVar(&below, "below", "", "older than this mid")
	c.Flags().IntVar(&limit, "limit", 100, fmt.Sprint("about how many, at most ", mostLetters))
	return c
}

func (o *operator) deadShow() *cobra.Command {
	return o.command(&cobra.Command{
		Use:     "show MID [RECEIVER]",
		Short:   "Show dead letters of one message, whole",
		Example: "  mpush dead show 1596543210123",
		Args:    cobra.RangeArgs(1, 2),
	}, func(ctx context.Context, client *control.Client, out io.Writer, args []string) error {
		mid, err := midArgument(args[0])
		if err != nil {
			return err
		}
		receiver := ""
		if len(args) > 1 {
			receiver = args[1]
		}
		letters, err := lettersOf(ctx, client, mid, receiver)
		if err != nil {
			return err
		}
		return o.print(out, letters, func(w io.Writer) {
			for i := range letters {
				m, d := &letters[i].Message, &letters[i].Delivery
				if i == 0 {
					printMessage(w, m)
				}
				fmt.Fprintf(w, "\nreceiver\t%s\nreason\t%s\nlast error\t%s\ntries\t%d\nfirst sent\t%s\nended\t%s\n",
					line(d.Receiver), d.Reason, cmp.Or(line(d.Error), "-"), d.Tries, moment(d.SentAt), moment(d.EndedAt))
			}
		})
	})
}

// lettersOf returns the dead letters of one message.
func lettersOf(ctx context.Context, client *control.Client, mid control.MID, receiver string) ([]control.DeadLetter, error) {
	page, err := client.Dead(ctx, receiver, mid+1, 1)
	if err != nil {
		return nil, err
	}
	var letters []control.DeadLetter
	for _, l := range page.Letters {
		if l.Message.MID == mid {
			letters = append(letters, l)
		}
	}
	if len(letters) == 0 {
		return nil, errors.New(`there is no such dead letter: "mpush dead list" shows all, "mpush trace" what became of a message`)
	}
	return letters, nil
}

// deadEach does something to one dead letter, those of one message, or all.
func (o *operator) deadEach(c *cobra.Command, done string, do func(*control.Client, context.Context, control.Letter) error) *cobra.Command {
	var s selection
	c.Args = cobra.RangeArgs(0, 2)
	c = o.command(c, func(ctx context.Context, client *control.Client, out io.Writer, args []string) error {
		letters, err := s.letters(ctx, client, args)
		if err != nil {
			return err
		}
		n, err := eachLetter(letters, func(l control.Letter) error { return do(client, ctx, l) })
		if err == nil || n > 0 {
			err = errors.Join(o.print(out, map[string]int{done: n}, func(w io.Writer) { fmt.Fprintf(w, "%d %s\n", n, done) }), err)
		}
		return err
	})
	c.Flags().StringVar(&s.receiver, "receiver", "", "with --all: of this receiver alone")
	c.Flags().BoolVar(&s.all, "all", false, "all dead letters")
	return c
}

// eachLetter does something to each, and tells to how many. What is no letter any
// more was dealt with meanwhile. Where a queue is full, the rest of its receiver's
// are left, or they would be out of order, and those of others go on.
func eachLetter(letters []control.DeadLetter, do func(control.Letter) error) (n int, err error) {
	full, gone := make(map[string]bool), 0
	for i := range letters {
		l := control.Letter{MID: letters[i].Message.MID, Receiver: letters[i].Delivery.Receiver}
		if full[l.Receiver] {
			continue
		}
		failed := do(l)
		if failed == nil {
			n++
			continue
		}
		refused, ok := errors.AsType[*control.Error](failed)
		if ok && refused.Status == http.StatusNotFound && len(letters) > 1 {
			gone++
			continue
		}
		if full[l.Receiver] = true; err == nil {
			err = fmt.Errorf("%d %s: %w", l.MID, l.Receiver, failed)
		}
		if !ok || refused.Status != http.StatusTooManyRequests {
			break
		}
	}
	if err != nil {
		err = fmt.Errorf("%w (%d of %d are done)", err, n, len(letters)-gone)
	}
	return n, err
}

// letters are those that are meant, the oldest first: so they are queued in the
// order in which they were sent.
func (s *selection) letters(ctx context.Context, client *control.Client, args []string) ([]control.DeadLetter, error) {
	switch {
	case s.all && len(args) > 0, !s.all && len(args) == 0:
		return nil, exitError{errors.New("name a MID, or say --all"), exitUsage}
	case s.receiver != "" && !s.all:
		return nil, exitError{errors.New("--receiver goes with --all; else write the receiver after the MID"), exitUsage}
	case !s.all:
		mid, err := midArgument(args[0])
		if err != nil {
			return nil, err
		}
		receiver := ""
		if len(args) > 1 {
			receiver = args[1]
		}
		return lettersOf(ctx, client, mid, receiver)
	}
	var letters []control.DeadLetter
	for below := control.MID(0); ; {
		page, err := client.Dead(ctx, s.receiver, below, mostLetters)
		if err != nil {
			return nil, err
		}
		letters = append(letters, page.Letters...)
		if below = page.Below; below == 0 {
			break
		}
	}
	slices.Reverse(letters)
	return letters, nil
}
