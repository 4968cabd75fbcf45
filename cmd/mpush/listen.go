package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mpush/core/control"
)

// listening is what mpush listen was asked for.
type listening struct {
	settings *settings
	name     string
	group    string
	exec     string
	once     bool
	json     bool
	server   string
	token    string

	out, say io.Writer // messages, and what else there is to say
	painted  paint
	came     bool     // it was let in before
	seen     []string // mids that were dealt with, the newest last
	shown    string   // the mid of the last message that was printed
}

func listenCommand(s *settings) *cobra.Command {
	l := &listening{settings: s}
	cmd := &cobra.Command{
		Use:   "listen --name NAME",
		Short: "Be a receiver: show each message and acknowledge it",
		Long: `Listen comes in as a receiver by the websocket channel, shows each message and
acknowledges it. When the connection is lost, or the relay can not take it just
now, it comes back, with growing pauses; what was sent meanwhile waits in the
queue. Another receiver of the same name takes over, and this one ends. Without
--server it listens at the relay of the data directory on this machine, for which
no token is needed.

With --exec each message is given to a shell command: as JSON on its stdin and in
MPUSH_MID, MPUSH_TEXT, MPUSH_DESP, MPUSH_EXTRA (JSON), MPUSH_SENDTYPE,
MPUSH_TARGET, MPUSH_FROM (the sender's name) and MPUSH_FROM_METHOD. A variable that
would have more than 100 KiB is not set, nor are the longest if all of them are too
much for the system: stdin has everything. The message is acknowledged when the
command exits with 0; else it comes again after websocket.retryTimeout, and the
messages behind it wait.`,
		Example: `  mpush listen --name phone
  mpush listen --name nas --group machines --exec 'notify-send "$MPUSH_TEXT" "$MPUSH_DESP"'
  mpush listen --name job --once --json
  mpush listen --name phone --server wss://push.example.org/ws --token "$TOKEN"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l.out, l.say = cmd.OutOrStdout(), cmd.ErrOrStderr()
			l.painted = colors(l.out)
			err := l.run(cmd.Context())
			if cmd.Context().Err() != nil {
				return nil // asked to end
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&l.name, "name", "", "the receiver's name (required)")
	flags.StringVar(&l.group, "group", "", "the receiver's group")
	flags.StringVar(&l.exec, "exec", "", "shell command to run for each message; it is acknowledged if that exits with 0")
	flags.BoolVar(&l.once, "once", false, "end after the first message that was acknowledged")
	flags.BoolVar(&l.json, "json", false, "print each message as one line of JSON")
	flags.StringVar(&l.server, "server", "", "ws:// or wss:// url of a relay's websocket channel; without it that of --data")
	flags.StringVar(&l.token, "token", "", "token for --server (default $MPUSH_TOKEN)")
	_ = cmd.MarkFlagRequired("name") // it is there
	return cmd
}

// Pauses between attempts to connect: doubled from the first to the last, and
// up to a half shorter by chance.
const (
	firstPause = 200 * time.Millisecond
	lastPause  = 30 * time.Second
)

// maxName bounds names and groups, in bytes.
const maxName = 256

// nameable tells whether a text may be a name or a group, or nothing.
func nameable(text string) bool { return len(text) <= maxName && clean(text) == text }

func (l *listening) run(ctx context.Context) error {
	if l.server != "" {
		u, err := url.Parse(l.server)
		if err == nil && u.User != nil {
			return exitError{errors.New("--server: a websocket's url has no user and no password: name a token with --token"), exitUsage}
		}
		if err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
			return exitError{fmt.Errorf("--server: expected a url such as ws://127.0.0.1:9094, not %q", l.server), exitUsage}
		}
	}
	// Else the relay would refuse them by the same packet as what passes.
	if l.name == "" || !nameable(l.name) {
		return exitError{fmt.Errorf("--name: expected 1 to %d bytes without control characters, not %q", maxName, l.name), exitUsage}
	}
	if !nameable(l.group) {
		return exitError{fmt.Errorf("--group: expected 1 to %d bytes without control characters, not %q", maxName, l.group), exitUsage}
	}
	pause := firstPause
	for first := true; ; first = false {
		came, err := l.connection(ctx)
		if refused, ok := errors.AsType[refusal](err); ok {
			return refused.error
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		if first && !came && l.server == "" {
			// A relay that was never there is more likely a mistake than a restart.
			if _, asked := errors.AsType[*control.Error](err); !asked && errors.Is(err, errNoRelay) {
				return err
			}
		}
		if came {
			pause = firstPause
		}
		wait := pause - rand.N(pause/2)
		pause = min(2*pause, lastPause)
		fmt.Fprintf(l.say, "mpush: %v; trying again in %v\n", err, wait.Round(100*time.Millisecond))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// errNoRelay: the relay's own socket is not there.
var errNoRelay = errors.New("no relay")

// refusal is an error that trying again would not help.
type refusal struct{ error }

// endpoint is where to listen, and the token for it.
func (l *listening) endpoint(ctx context.Context) (server, token string, err error) {
	if l.server != "" {
		return l.server, cmp.Or(l.token, os.Getenv("MPUSH_TOKEN")), nil
	}
	client, err := control.NewClient(l.settings.dataDir())
	if err != nil {
		return "", "", err
	}
	defer client.Close()
	channels, err := client.Channels(ctx)
	if err != nil {
		if _, answered := errors.AsType[*control.Error](err); !answered {
			err = fmt.Errorf("%w%w", err, silent{errNoRelay})
		}
		return "", "", err
	}
	i := slices.IndexFunc(channels, func(c control.Channel) bool { return c.Name == "websocket" })
	switch {
	case i < 0 || channels[i].State == control.Disabled:
		return "", "", refusal{errors.New("the websocket channel is switched off (websocket.enabled)")}
	case len(channels[i].Endpoints) == 0:
		return "", "", fmt.Errorf("the websocket channel does not listen: it is %s", channels[i].State)
	}
	if server, err = localURL(channels[i].Endpoints[0]); err != nil {
		return "", "", refusal{err}
	}
	token, err = client.Lend(ctx, l.name, l.group)
	if answered, ok := errors.AsType[*control.Error](err); ok && answered.Status == 400 {
		err = refusal{err}
	}
	return server, token, err
}

// silent is an error to be found, and not to be read.
type silent struct{ error }

// Error says nothing.
func (silent) Error() string { return "" }

// Unwrap returns the error.
func (s silent) Unwrap() error { return s.error }

// localURL is how to reach, on this machine, what listens at an address, which
// has the scheme before it where it is not ws.
func localURL(endpoint string) (string, error) {
	scheme, address, found := strings.Cut(endpoint, "://")
	if !found {
		scheme, address = "ws", endpoint
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("the websocket channel listens at %q: name its url with --server", endpoint)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return scheme + "://" + net.JoinHostPort(host, port), nil
}

// incoming is a message as it comes.
type incoming struct {
	SendType string `json:"sendType"`
	Target   string `json:"target"`
	From     struct {
		Method string `json:"method"`
		Name   string `json:"name"`
	} `json:"from"`
	MID     string `json:"mid"`
	Message struct {
		Text  string          `json:"text"`
		Desp  string          `json:"desp"`
		Extra json.RawMessage `json:"extra"`
	} `json:"message"`
}

// mostSeen mids are remembered: one is in flight at a time, so that what comes
// twice comes soon.
const mostSeen = 1000

// deal shows a message, or has it dealt with, and tells whether that is done.
// One that was dealt with before is not shown again. An error ends the receiver:
// what can not be shown now can not be shown a moment later, either.
func (l *listening) deal(ctx context.Context, m *incoming) (done bool, err error) {
	if slices.Contains(l.seen, m.MID) {
		return true, nil
	}
	if (l.json || l.exec == "") && l.shown != m.MID {
		if err := l.show(m); err != nil {
			return false, refusal{fmt.Errorf("%s is not acknowledged: %w", clean(m.MID), err)}
		}
		l.shown = m.MID
	}
	if l.exec != "" {
		if err := execute(ctx, l.exec, m, l.out, l.say); err != nil {
			fmt.Fprintf(l.say, "mpush: %s is not acknowledged and comes again: --exec: %v\n", clean(m.MID), err)
			return false, nil
		}
	}
	if l.seen = append(l.seen, m.MID); len(l.seen) > mostSeen {
		l.seen = slices.Delete(l.seen, 0, mostSeen/2)
	}
	return true, nil
}

func (l *listening) show(m *incoming) error {
	if l.json {
		encoder := json.NewEncoder(l.out)
		encoder.SetEscapeHTML(false)
		return encoder.Encode(m)
	}
	var b strings.Builder
	from := clean(cmp.Or(m.From.Name, m.From.Method))
	fmt.Fprintf(&b, "%s  %s%s\n", l.painted.in(l.painted.grey, time.Now().Format(time.TimeOnly)), clean(m.Message.Text), l.painted.in(l.painted.grey, "  from "+from))
	if m.Message.Desp != "" {
		fmt.Fprintf(&b, "          %s\n", clean(m.Message.Desp))
	}
	if extra := string(m.Message.Extra); extra != "" && extra != "{}" {
		fmt.Fprintf(&b, "          %s\n", l.painted.in(l.painted.grey, clean(extra)))
	}
	_, err := io.WriteString(l.out, b.String())
	return err
}
