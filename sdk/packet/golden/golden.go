// Package golden reads the recorded exchanges in sdk/packet/testdata/exchanges
// and plays them to a channel, for the channels' tests. The files are written by
// hand from what mpush 2.1 documents and what its clients send: they say what
// the wire is, and no code of ours has made them.
//
// A file is plain text, so that the tests of a plugin in any language can read
// it. It begins with a sentence that says what it shows and with "key: value"
// lines:
//
//	A receiver logs in.
//	channel: websocket
//	config: {"retryTimeout":3000}
//
// channel is the channel that the server plays; it is the directory's name, too.
// config is its section, without host and port; it may be absent. Then come the
// steps, in order, each after a line that says who speaks to whom:
//
//	-- receiver -> server --
//	{"cmd":"PING"}
//	-- server -> receiver --
//	{"cmd":"PONG","data":""}
//
// What sender, receiver, endpoint and push service say and hear is what is on
// the wire: a frame, or an HTTP message without Host and Content-Length. What
// the core says and hears is an envelope of the plugin protocol in protobuf's
// JSON form, but for bytes, which stand there as the JSON or the text that they
// are; an answer that a file leaves out is the usual one. JSON is compared by
// meaning: the order of keys does not matter, the digits of a number do. Line
// breaks at the end of a step do not belong to it. A word in braces, {endpoint},
// stands for what differs from run to run.
package golden

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Server is the part that the channel under test plays, Core that of the core.
// Who else there is depends on the channel.
const (
	Server = "server"
	Core   = "core"
)

// Exchange is one file.
type Exchange struct {
	Name    string // the file's name without ".txt"
	About   string // what it shows
	Channel string
	Config  string // the inside of the channel's section, "" for none
	Steps   []Step
}

// Step is one thing said.
type Step struct {
	From, To string
	Text     string
	// Place is where it stands, "message.txt:7".
	Place string
}

// Load returns the exchanges of a channel, by name. The test fails if there is
// none or if one is malformed. It may be called from any package of this module.
func Load(t testing.TB, channel string) []Exchange {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(Directory(t), channel, "*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no exchanges of channel %q: %v", channel, err)
	}
	var all []Exchange
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		e, err := parse(filepath.Base(name), string(text))
		if err != nil {
			t.Fatal(err)
		}
		if e.Channel != channel {
			t.Fatalf("%s: the channel is %q, not the directory's %q", name, e.Channel, channel)
		}
		all = append(all, e)
	}
	return all
}

// Directory is where the exchanges are, a directory for each channel.
func Directory(t testing.TB) string {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dir := here; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "sdk", "packet", "testdata", "exchanges")
		}
		if dir == filepath.Dir(dir) {
			t.Fatalf("%s is in no module", here)
		}
	}
}

// parse reads a file.
func parse(file, text string) (Exchange, error) {
	name, ok := strings.CutSuffix(file, ".txt")
	if !ok {
		return Exchange{}, fmt.Errorf("%s: expected a name that ends with .txt", file)
	}
	e := Exchange{Name: name}
	var step *Step
	for i, line := range strings.Split(text, "\n") {
		place := fmt.Sprintf("%s:%d", file, i+1)
		from, to, isTitle := title(line)
		switch {
		case isTitle:
			e.Steps = append(e.Steps, Step{From: from, To: to, Place: place})
			step = &e.Steps[len(e.Steps)-1]
		case step != nil:
			step.Text += line + "\n"
		default:
			if err := e.headLine(line); err != nil {
				return e, fmt.Errorf("%s: %w", place, err)
			}
		}
	}
	for i, step := range e.Steps {
		e.Steps[i].Text = strings.TrimRight(step.Text, "\n")
		if (step.From == Server) == (step.To == Server) {
			return e, fmt.Errorf("%s: %s -> %s: one of the two is the server", step.Place, step.From, step.To)
		}
	}
	switch {
	case e.About == "":
		return e, fmt.Errorf("%s: it does not say what it shows", file)
	case e.Channel == "":
		return e, fmt.Errorf("%s: it does not say which channel it is of", file)
	case len(e.Steps) < 2:
		return e, fmt.Errorf("%s: nothing is exchanged", file)
	}
	return e, nil
}

// With returns the exchange with words in braces replaced: pairs are a word
// without braces and what it stands for.
func (e Exchange) With(pairs ...string) Exchange {
	for i := 0; i < len(pairs); i += 2 {
		pairs[i] = "{" + pairs[i] + "}"
	}
	replacer := strings.NewReplacer(pairs...)
	e.Config = replacer.Replace(e.Config)
	e.Steps = slices.Clone(e.Steps)
	for i, step := range e.Steps {
		e.Steps[i].Text = replacer.Replace(step.Text)
	}
	return e
}

// title reads "-- sender -> server --".
func title(line string) (from, to string, ok bool) {
	line, begins := strings.CutPrefix(line, "-- ")
	line, ends := strings.CutSuffix(line, " --")
	from, to, ok = strings.Cut(line, " -> ")
	return from, to, ok && begins && ends
}

func (e *Exchange) headLine(line string) error {
	if e.About == "" {
		e.About = line
		return nil
	}
	key, value, _ := strings.Cut(line, ":")
	value = strings.TrimSpace(value)
	switch key {
	case "":
	case "channel":
		e.Channel = value
	case "config":
		inside, opens := strings.CutPrefix(value, "{")
		inside, closes := strings.CutSuffix(inside, "}")
		if !opens || !closes {
			return fmt.Errorf("config: expected a JSON object, not %s", value)
		}
		e.Config = inside
	default:
		return fmt.Errorf("%q: expected channel, config or a step", key)
	}
	return nil
}
