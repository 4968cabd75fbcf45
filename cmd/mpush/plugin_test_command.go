package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/tailscale/hujson"

	"mpush/core"
	"mpush/sdk/plugintest/conformance"
)

// pluginTest is the command that checks an executable.
type pluginTest struct {
	config    string
	name      string
	receivers []string
	commands  []string
	env       []string
	mtls      bool
	json      bool
	run       string
	timeout   time.Duration
}

// errNonconforming is the exit code of a plugin with which something is wrong.
var errNonconforming = errors.New("the plugin does not conform")

func pluginTestCommand() *cobra.Command {
	var p pluginTest
	cmd := &cobra.Command{
		Use:   "test EXECUTABLE [ARGUMENT …]",
		Short: "Check that a channel plugin, in any language, keeps the protocol",
		Long: `Test starts an executable as the relay does, takes it through its life again and
again, and prints a line for each check: ✓ passed, ✗ failed and what to do about
it, – skipped and why. It needs no relay. The exit code is 1 if a check failed.

The section is that of the plugin alone, as in its entry of the relay's
configuration under "config": JSON, comments are allowed. Messages go to the
receivers that the plugin declares with it. A plugin that gets its receivers by a
command that it claims is given one with --command.

Nobody plays the plugin's far side: a plugin whose server is not there answers
"retry", and that is as right as anything else. Let the section name a server for
tests to see more. Do not let it name one that you mean: hundreds of messages
go there.

Arguments that begin with a dash stand behind "--".`,
		Example: `  mpush plugin test ./telegram --config telegram.json
  mpush plugin test --mtls=false --config - -- node index.js <<< '{"clients": [{"name": "team"}]}'
  mpush plugin test ./push --command 'REGISTER_PUSH={"device": "d1"}' --receiver phone
  mpush plugin test ./telegram --config telegram.json --run 'exit|drain'`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.test(cmd, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&p.config, "config", "", "file with the plugin's section, JSON; - is stdin (default: no section)")
	flags.StringVar(&p.name, "name", "", "the channel's name (default: what the plugin calls itself)")
	flags.StringArrayVar(&p.receivers, "receiver", nil, "deliver to this receiver only, or let it send the commands; may be repeated")
	flags.StringArrayVar(&p.commands, "command", nil, "NAME=JSON: a client's command that makes a route; may be repeated")
	flags.StringArrayVar(&p.env, "env", nil, "pass this variable of the environment on; may be repeated")
	flags.BoolVar(&p.mtls, "mtls", true, "connect with mutual TLS")
	flags.BoolVar(&p.json, "json", false, "print JSON, for scripts")
	flags.StringVar(&p.run, "run", "", "run the checks only whose names match this regular expression")
	flags.DurationVar(&p.timeout, "timeout", 30*time.Second, "how long to wait for what the plugin must do")
	return cmd
}

// target makes of the flags what is to be checked.
func (p *pluginTest) target(ctx context.Context, in io.Reader, args []string) (conformance.Target, error) {
	t := conformance.Target{
		Command: args, DisableMTLS: !p.mtls, Channel: p.name, Receivers: p.receivers, Patience: p.timeout,
		Section: core.CheckSection,
	}
	if p.timeout <= 0 {
		return t, exitError{fmt.Errorf("--timeout: expected a time such as 30s, not %v", p.timeout), exitUsage}
	}
	for _, name := range p.env {
		value, set := os.LookupEnv(name)
		if !set {
			return t, fmt.Errorf("--env: the variable %s is not set", name)
		}
		t.Env = append(t.Env, name+"="+value)
	}
	for _, text := range p.commands {
		name, data, found := strings.Cut(text, "=")
		if data = cmp.Or(data, "{}"); name == "" || !found || !json.Valid([]byte(data)) {
			return t, exitError{fmt.Errorf("--command: expected NAME=JSON, not %q", text), exitUsage}
		}
		t.Commands = append(t.Commands, conformance.Command{Name: name, Data: data})
	}
	if p.config == "" {
		return t, nil
	}
	var text []byte
	var err error
	if p.config == "-" {
		text, err = fromStdin(ctx, func() ([]byte, error) { return io.ReadAll(in) })
	} else {
		text, err = os.ReadFile(p.config)
	}
	if err != nil {
		return t, fmt.Errorf("--config: %w", err)
	}
	if text, err = hujson.Standardize(text); err != nil {
		return t, fmt.Errorf("--config: %s: %w", p.config, err)
	}
	t.Config = string(text)
	return t, nil
}

func (p *pluginTest) test(cmd *cobra.Command, args []string) error {
	target, err := p.target(cmd.Context(), cmd.InOrStdin(), args)
	if err != nil {
		return err
	}
	wanted, err := regexp.Compile(p.run)
	if err != nil {
		return exitError{fmt.Errorf("--run: %w", err), exitUsage}
	}
	checks := slices.DeleteFunc(conformance.Checks(), func(c conformance.Check) bool { return !wanted.MatchString(c.Name) })
	if len(checks) == 0 {
		return exitError{fmt.Errorf("--run: no check has a name that matches %q", p.run), exitUsage}
	}
	if _, err := exec.LookPath(args[0]); err != nil {
		return fmt.Errorf("%s can not be run: %w", args[0], err)
	}
	kit, err := conformance.New(target)
	if err != nil {
		return err
	}
	defer kit.Close()
	out := cmd.OutOrStdout()
	painted := colors(out)
	var results []conformance.Result
	count := map[conformance.Status]int{}
	show := func(result conformance.Result) {
		results = append(results, result)
		count[result.Status]++
		if !p.json {
			painted.result(out, &result)
		}
	}
	for _, check := range checks {
		result := kit.Run(cmd.Context(), check)
		if err := cmd.Context().Err(); err != nil {
			return err
		}
		show(result)
	}
	for _, result := range kit.Failed() { // what was asked for may need what was not
		if !slices.ContainsFunc(results, func(r conformance.Result) bool { return r.Check == result.Check }) {
			show(result)
		}
	}
	if p.json {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(results); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(out, "\n%d passed, %d failed, %d skipped\n", count[conformance.Passed], count[conformance.Failed], count[conformance.Skipped])
	}
	if count[conformance.Failed] > 0 {
		return errNonconforming
	}
	return nil
}

// result prints one.
func (p paint) result(out io.Writer, r *conformance.Result) {
	sign, color := "–", p.grey
	switch r.Status {
	case conformance.Passed:
		sign, color = "✓", p.green
	case conformance.Failed:
		sign, color = "✗", p.red
	}
	remarks := r.Notes
	if r.Reason != "" {
		remarks = append([]string{r.Reason}, remarks...)
	}
	fmt.Fprintf(out, "%s%s%s %-19s %s\n", color, sign, p.plain, r.Check, clean(strings.Join(remarks, "; ")))
	if r.Output != "" {
		for text := range strings.SplitSeq(r.Output, "\n") {
			fmt.Fprintf(out, "%s      | %s%s\n", p.grey, clean(text), p.plain)
		}
	}
}
