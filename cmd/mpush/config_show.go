package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mpush/core"
)

func configCommand(s *settings) *cobra.Command {
	group := &cobra.Command{
		Use:     "config",
		Short:   "Look at the configuration",
		Long:    `These commands read the configuration as "mpush serve" would; no relay is needed.`,
		Example: "  mpush config show",
	}
	asJSON := false
	show := &cobra.Command{
		Use:   "show",
		Short: "Show every value that takes effect, and where it came from",
		Long: `Show prints each key with its value and where that came from: "default", the
file with line and column, or the environment variable that set it; and the
${env:…} and ${file:…} that it was read from. Secrets are hidden: what channels
mark as such in their schemas, and for a channel that can not be asked all texts
and numbers of its section. Plugins are started for that: run it as the relay's
user.`,
		Example: "  mpush config show --config /etc/mpush.json\n  mpush config show --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options, err := s.options()
			if err != nil {
				return err
			}
			explanation, err := core.Explain(cmd.Context(), options)
			if err != nil {
				return err
			}
			if !asJSON {
				return printExplanation(cmd.OutOrStdout(), explanation)
			}
			return printJSON(cmd.OutOrStdout(), explanation)
		},
	}
	show.Flags().BoolVar(&asJSON, "json", false, "print JSON, for scripts")
	group.AddCommand(show)
	return group
}

func printExplanation(out io.Writer, e *core.Explanation) error {
	return printTable(out, func(w io.Writer) {
		fmt.Fprintln(w, "KEY\tVALUE\tFROM")
		for _, v := range e.Values {
			from := v.Origin
			if len(v.From) > 0 {
				from += ", " + strings.Join(v.From, ", ")
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", clean(v.Path), line(string(v.Value)), clean(from))
		}
		for _, name := range slices.Sorted(maps.Keys(e.Unknown)) {
			fmt.Fprintf(w, "\nchannel %s: its secrets and defaults are not known: %s\n", clean(name), clean(e.Unknown[name]))
		}
	})
}
