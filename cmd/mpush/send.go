package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mpush/core/control"
)

// sending is what mpush send was asked for.
type sending struct {
	settings *settings
	group    bool
	extra    []string
	extraAll string
	wait     time.Duration
	server   string
	token    string
	key      string
	json     bool
}

// defaultWait is that of --wait without a time.
const defaultWait = 30 * time.Second

func sendCommand(s *settings) *cobra.Command {
	o := &sending{settings: s}
	cmd := &cobra.Command{
		Use:   "send NAME [TEXT [DESP]]",
		Short: "Send a message, and see it arrive",
		Long: `Send sends a message to a receiver, or with --group to all of a group. TEXT is
its title and DESP its body; - reads one of them from stdin. It asks the relay of
the data directory on this machine, for which no token is needed; receivers read
from.method "control" then. With --server it is an HTTP request to any relay.

With --wait it shows each receiver's status until all are ok: ready (queued, the
receiver is away), wait (sent), ok (the receiver has acknowledged it). If not all
are ok in time, by Ctrl-C, or ever, the exit code is 3; the message stays in the
queue. It is 1 if the message was not accepted for anybody. With --server
the token must be the single one or have "admin": others may not ask.`,
		Example: `  mpush send phone "Backup done" "all 3 disks" --wait
  mpush send family "Dinner" --group --extra url=https://example.org --extra icon=food
  df -h | mpush send phone "Disk report" -
  mpush send phone hello --wait=2m --json
  mpush send phone hello --server https://push.example.org --token "$TOKEN"`,
		Args: cobra.RangeArgs(1, 3),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.group, "group", false, "NAME is a group")
	flags.StringArrayVar(&o.extra, "extra", nil, "KEY=TEXT for the message's extra; may be repeated")
	flags.StringVar(&o.extraAll, "extra-json", "", "the message's extra, a JSON object; --extra adds to it")
	flags.DurationVar(&o.wait, "wait", 0, "wait until all receivers have it, at most so long: --wait=2m, with the =")
	flags.Lookup("wait").NoOptDefVal = defaultWait.String()
	flags.StringVar(&o.server, "server", "", "url of a relay's http channel; without it the relay of --data is asked")
	flags.StringVar(&o.token, "token", "", "token for --server (default $MPUSH_TOKEN)")
	flags.StringVar(&o.key, "idempotency-key", "", "send only once what is sent again under this key within a day")
	flags.BoolVar(&o.json, "json", false, "print JSON, for scripts")
	return cmd
}

// message is what is to be sent.
func (o *sending) message(ctx context.Context, in io.Reader, args []string) (control.Send, error) {
	m := control.Send{SendType: "personal", Target: args[0], IdempotencyKey: o.key}
	if o.group {
		m.SendType = "group"
	}
	read := false
	for i, part := range []*string{&m.Text, &m.Desp} {
		if len(args) <= i+1 {
			break
		}
		if *part = args[i+1]; *part != "-" {
			continue
		}
		if read {
			return m, exitError{errors.New("stdin can be TEXT or DESP, not both"), exitUsage}
		}
		text, err := fromStdin(ctx, func() ([]byte, error) { return io.ReadAll(in) })
		if err != nil {
			return m, fmt.Errorf("stdin: %w", err)
		}
		*part, read = strings.TrimSuffix(string(text), "\n"), true
	}
	extra, err := extraOf(o.extraAll, o.extra)
	m.Extra = extra
	return m, err
}

// extraOf makes an object of JSON and of KEY=TEXT pairs; nil if there are none.
func extraOf(object string, pairs []string) (json.RawMessage, error) {
	members := make(map[string]json.RawMessage)
	if object != "" {
		if err := json.Unmarshal([]byte(object), &members); err != nil || members == nil {
			return nil, exitError{fmt.Errorf("--extra-json: expected a JSON object, not %q", object), exitUsage}
		}
	}
	for _, pair := range pairs {
		key, value, found := strings.Cut(pair, "=")
		if !found || key == "" {
			return nil, exitError{fmt.Errorf("--extra: expected KEY=TEXT, not %q", pair), exitUsage}
		}
		members[key], _ = json.Marshal(value) // a text
	}
	if len(members) == 0 {
		return nil, nil
	}
	return json.Marshal(members)
}

func (o *sending) run(cmd *cobra.Command, args []string) error {
	waits := cmd.Flags().Changed("wait")
	if waits && o.wait <= 0 {
		return exitError{fmt.Errorf("--wait: expected a time such as 30s, not %v", o.wait), exitUsage}
	}
	m, err := o.message(cmd.Context(), cmd.InOrStdin(), args)
	if err != nil {
		return err
	}
	var by sender
	if o.server != "" {
		if by, err = newRemoteSender(o.server, cmp.Or(o.token, os.Getenv("MPUSH_TOKEN"))); err != nil {
			return err
		}
	} else {
		client, err := control.NewClient(o.settings.dataDir())
		if err != nil {
			return err
		}
		defer client.Close()
		by = localSender{client}
	}
	sent, err := by.send(cmd.Context(), m)
	if err != nil {
		return err
	}
	now := progressOf(sent.Status)
	out := cmd.OutOrStdout()
	if sent.MID == 0 {
		if o.json {
			if err := o.print(out, sent.MID, now); err != nil {
				return err
			}
		}
		return notAccepted(m, now)
	}
	if !waits {
		return o.print(out, sent.MID, now)
	}
	watch := newWatch(out, o.json)
	watch.begin(sent.MID)
	now, unseen := o.await(cmd.Context(), by, sent.MID, now, watch)
	if o.json {
		if err := o.print(out, sent.MID, now); err != nil {
			return err
		}
	}
	err = verdict(now, o.wait, unseen)
	if err != nil && cmd.Context().Err() != nil {
		return exitError{errors.New("asked to end: the message is accepted, and was not awaited any longer"), exitNotDelivered}
	}
	return err
}

// notAccepted says why a message is nowhere.
func notAccepted(m control.Send, now []progress) error {
	switch {
	case m.SendType == "group" && len(now) == 0:
		return fmt.Errorf("nobody is in the group %q: a receiver joins when it comes with that group", m.Target)
	case len(now) == 1 && now[0].Status == "no":
		return fmt.Errorf("no receiver has the name %q: it is known once it has come, for example with \"mpush listen --name %[1]s\"", m.Target)
	default:
		return errors.New("not accepted: the queue is full (limits.queueLength, limits.queueBytes); \"mpush receivers\" shows the queues")
	}
}

// lookEvery is how often a relay is asked what has become of a message, and
// lookTime how long it may take to answer.
const (
	lookEvery = 200 * time.Millisecond
	lookTime  = 5 * time.Second
)

// await looks until all statuses are final, the time is over, or the relay
// refuses to tell. Its error is that of the last look.
func (o *sending) await(ctx context.Context, by sender, mid control.MID, now []progress, watch *watch) ([]progress, error) {
	ctx, cancel := context.WithTimeout(ctx, o.wait)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var unseen error
	seen := false
	for {
		watch.show(now)
		if !slices.ContainsFunc(now, func(p progress) bool { return !p.Final }) {
			return now, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return now, unseen
		}
		looking, over := context.WithTimeout(ctx, lookTime)
		next, err := by.look(looking, mid)
		over()
		if ctx.Err() != nil {
			if !seen {
				unseen = cmp.Or(unseen, err)
			}
			return now, unseen
		}
		if unseen = err; err == nil {
			now, seen = merge(now, next), true
		} else if _, refused := errors.AsType[refusal](err); refused {
			return now, err
		}
	}
}

// merge keeps those whom a queue that was full has refused: what is stored does
// not name them.
func merge(before, now []progress) []progress {
	for _, p := range before {
		if !slices.ContainsFunc(now, func(q progress) bool { return q.Receiver == p.Receiver }) {
			now = append(now, p)
		}
	}
	slices.SortStableFunc(now, func(a, b progress) int { return strings.Compare(a.Receiver, b.Receiver) })
	return now
}

// verdict is nil if all have it. The error unseen is why nobody knows.
func verdict(now []progress, waited time.Duration, unseen error) error {
	missing, final, handedOn := 0, 0, 0
	for _, p := range now {
		switch {
		case p.Status == "ok":
			continue
		case p.Final:
			final++
		case p.handedOn():
			handedOn++
		}
		missing++
	}
	var err error
	switch {
	case missing == 0:
		return nil
	case missing == final:
		err = fmt.Errorf("not delivered to %d of %d", missing, len(now))
	case unseen != nil:
		err = fmt.Errorf("the message is accepted, but what becomes of it can not be asked: %w", unseen)
	case missing == final+handedOn:
		err = fmt.Errorf("not acknowledged by %d of %d within %v: another service has it, which does not tell whether it arrived", missing, len(now), waited)
	default:
		err = fmt.Errorf("not delivered to %d of %d within %v: the message stays in the queue", missing, len(now), waited)
	}
	return exitError{err, exitNotDelivered}
}

// print shows the mid and the statuses.
func (o *sending) print(out io.Writer, mid control.MID, now []progress) error {
	if o.json {
		return printJSON(out, struct {
			MID       control.MID `json:"mid"`
			Receivers []progress  `json:"receivers"`
		}{mid, append([]progress{}, now...)})
	}
	return printTable(out, func(w io.Writer) {
		fmt.Fprintf(w, "mid\t%d\n", mid)
		for _, p := range now {
			fmt.Fprintf(w, "%s\t%s\n", clean(p.Receiver), p.Status)
		}
	})
}

// watch shows statuses as they change: on a terminal each receiver has a line
// that changes, elsewhere each change has a line.
type watch struct {
	out     io.Writer
	quiet   bool
	screen  *screen
	painted paint
	last    map[string]string
}

func newWatch(out io.Writer, quiet bool) *watch {
	w := &watch{out: out, quiet: quiet, painted: colors(out), last: make(map[string]string)}
	if isTerminal(out) {
		w.screen = &screen{out: out}
	}
	return w
}

func (w *watch) begin(mid control.MID) {
	if !w.quiet {
		fmt.Fprintf(w.out, "mid %d\n", mid)
	}
}

// mostLines are redrawn: more would not fit a terminal.
const mostLines = 20

func (w *watch) show(now []progress) {
	if w.quiet {
		return
	}
	width := 0
	for _, p := range now {
		width = max(width, len([]rune(line(p.Receiver))))
	}
	var lines []string
	rest := make(map[string]int)
	for _, p := range now {
		text := fmt.Sprintf("%-*s  %s", width, line(p.Receiver), w.status(p))
		if w.screen == nil {
			if w.last[p.Receiver] != p.Status {
				fmt.Fprintln(w.out, text)
			}
			w.last[p.Receiver] = p.Status
		} else if len(lines) < mostLines {
			lines = append(lines, text)
		} else {
			rest[p.Status]++
		}
	}
	if w.screen == nil {
		return
	}
	if len(rest) > 0 {
		more := ""
		for _, status := range slices.Sorted(maps.Keys(rest)) {
			more += fmt.Sprintf("  %d %s", rest[status], status)
		}
		lines = append(lines, "and"+more)
	}
	w.screen.show(lines)
}

func (w *watch) status(p progress) string {
	color := w.painted.yellow
	switch {
	case p.Status == "ok":
		color = w.painted.green
	case p.Final:
		color = w.painted.red
	}
	text := w.painted.in(color, p.Status)
	if p.Final && p.Reason != "" {
		text += "  " + line(p.Reason)
	}
	return text
}
