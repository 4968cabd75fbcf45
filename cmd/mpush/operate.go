package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mpush/core/control"
)

// operator is what the commands that talk to a running relay share.
type operator struct {
	settings *settings
	json     bool
}

// command makes a command of the operator's.
func (o *operator) command(c *cobra.Command, run func(ctx context.Context, client *control.Client, out io.Writer, args []string) error) *cobra.Command {
	c.Flags().BoolVar(&o.json, "json", false, "print JSON, for scripts")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := control.NewClient(o.settings.dataDir())
		if err != nil {
			return err
		}
		defer client.Close()
		return run(cmd.Context(), client, cmd.OutOrStdout(), args)
	}
	return c
}

// print shows a value as JSON, or as a person likes it.
func (o *operator) print(out io.Writer, value any, table func(w io.Writer)) error {
	if o.json {
		return printJSON(out, value)
	}
	return printTable(out, table)
}

func moment(t control.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

// clean puts all of a text on one line, and does nothing to a terminal.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, text)
}

// line is clean for a column of a table: no longer than fits there.
func line(text string) string {
	const most = 60
	text = clean(text)
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// midArgument is a mid of the command line.
func midArgument(text string) (control.MID, error) {
	mid, err := parseMID(text)
	if err != nil {
		err = exitError{err, exitUsage}
	}
	return mid, err
}

// checkLimit checks how many entries a command is asked for.
func checkLimit(limit, most int) error {
	if limit < 1 || limit > most {
		return exitError{fmt.Errorf("--limit %d: expected 1 to %d", limit, most), exitUsage}
	}
	return nil
}

func parseMID(text string) (control.MID, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("%q is no mid: expected the digits of one, as in the answer to a send", text)
	}
	return control.MID(n), nil
}

// operatorCommands are those that talk to a running relay.
func operatorCommands(s *settings) []*cobra.Command {
	o := &operator{settings: s}
	return []*cobra.Command{o.status(), o.receivers(), o.forget(), o.trace(), o.dead(), o.audit(), o.backup()}
}

func printMessage(w io.Writer, m *control.Message) {
	fmt.Fprintf(w, "mid\t%d\n", m.MID)
	fmt.Fprintf(w, "to\t%s %s\n", m.SendType, clean(m.Target))
	fmt.Fprintf(w, "from\t%s\n", strings.TrimSpace(m.FromMethod+" "+clean(m.FromName)))
	fmt.Fprintf(w, "text\t%s\n", clean(m.Text))
	fmt.Fprintf(w, "desp\t%s\n", clean(m.Desp))
	fmt.Fprintf(w, "extra\t%s\n", clean(string(m.Extra)))
	fmt.Fprintf(w, "accepted\t%s\n", moment(m.AcceptedAt))
	fmt.Fprintf(w, "expires\t%s\n", moment(m.ExpiresAt))
}

// errUnbalanced is the exit code of an audit that does not balance.
var errUnbalanced = errors.New("the books do not balance: keep a backup and the log, and report this; a backup holds all messages, so do not publish it")

func (o *operator) audit() *cobra.Command {
	return o.command(&cobra.Command{
		Use:   "audit",
		Short: "Balance the books: accepted = acked + handed off + dead + pending",
		Long: `Audit counts, for each receiver, the places in its queue that were given out and
what became of the messages, from what is on disk. It reads the whole history.
The exit code is 1 if something is missing.`,
		Example: "  mpush audit --json",
		Args:    cobra.NoArgs,
	}, func(ctx context.Context, client *control.Client, out io.Writer, _ []string) error {
		audit, err := client.Audit(ctx)
		if err != nil {
			return err
		}
		err = o.print(out, audit, func(w io.Writer) {
			fmt.Fprintln(w, "RECEIVER\tACCEPTED\tACKED\tHANDED OFF\tDEAD\tPENDING\t")
			row := func(name string, a *control.Account) {
				note := ""
				if !a.Balanced {
					note = "DOES NOT BALANCE"
				} else if a.Forgotten {
					note = "forgotten"
				}
				fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%s\n", name, a.Accepted, a.Acked, a.HandedOff, a.Dead, a.Pending, note)
			}
			for i := range audit.Accounts {
				row(line(audit.Accounts[i].Receiver), &audit.Accounts[i])
			}
			row("all", &audit.Total)
		})
		if err == nil && !audit.Balanced {
			err = errUnbalanced
		}
		return err
	})
}

func (o *operator) backup() *cobra.Command {
	return o.command(&cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the database of a running relay to a new file",
		Long: `Backup has the relay write everything that it has on disk, as of one moment, to a
new file, while it goes on. The relay writes it, not this command: it must be where
the relay may write, as below its data directory. To restore it, stop the relay,
remove mpush.db-wal and mpush.db-shm from the data directory and copy the file to
mpush.db there. Clients stay logged in if the file "secret" of the data directory
is kept, too.`,
		Example: `  mpush backup copy.db
  mpush backup --data /var/lib/mpush /var/lib/mpush/backup.db`,
		Args: cobra.ExactArgs(1),
	}, func(ctx context.Context, client *control.Client, out io.Writer, args []string) error {
		path, err := filepath.Abs(args[0])
		if err != nil {
			return err
		}
		backup, err := client.Backup(ctx, path)
		if refused, ok := errors.AsType[*control.Error](err); ok {
			return fmt.Errorf("%w (the relay writes the file, with its own rights)", refused)
		}
		if err != nil {
			return err
		}
		if err := seesBackup(path, backup.Bytes); err != nil {
			return err
		}
		return o.print(out, backup, func(w io.Writer) { fmt.Fprintf(w, "%s: %d bytes\n", backup.Path, backup.Bytes) })
	})
}

// seesBackup makes sure that what the relay has written is there for who asked, as
// far as that may be seen.
func seesBackup(path string, size int64) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() != size {
		return fmt.Errorf("the relay has written %s, but it sees other files there than you: "+
			"it has a /tmp of its own (PrivateTmp of systemd), or is in a container; name a file below its data directory", path)
	}
	return nil
}

// dataDir is where the relay keeps everything.
func (s *settings) dataDir() string { return cmp.Or(s.data, os.Getenv("MPUSH_DATA"), "data") }
