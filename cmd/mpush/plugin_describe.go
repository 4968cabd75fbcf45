package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mpush/core"
)

// describeCommand prints the manual of a plugin.
func describeCommand(s *settings) *cobra.Command {
	var asJSON, mtls bool
	cmd := &cobra.Command{
		Use:   "describe NAME|PATH",
		Short: "Print a plugin's manual: keys, commands, statuses, rights",
		Long: `Describe starts a plugin, asks what it is and ends it again; it may be used while
a relay runs. NAME is a channel of the configuration or a bundled one, PATH an
executable (with a slash in it), which need not be configured yet; it goes by the
name that it gives itself. No value of the configuration is printed. It runs as
who says this: as the relay's user rather than as root.`,
		Example: `  mpush plugin describe webhook
  mpush plugin describe ./plugins/telegram
  mpush plugin describe --mtls=false ./slack/index.js
  mpush plugin describe telegram --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := s.describeOptions(args[0])
			if err != nil {
				return err
			}
			manual, err := core.Describe(cmd.Context(), options, args[0], mtls)
			if err != nil {
				return err
			}
			if !asJSON {
				return printManual(cmd.OutOrStdout(), manual)
			}
			return printJSON(cmd.OutOrStdout(), manual)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the manifest and the JSON Schema as the plugin tells them")
	cmd.Flags().BoolVar(&mtls, "mtls", true, "with PATH: encrypt the connection to it; false for runtimes that cannot, as Node.js and Python")
	return cmd
}

// describeOptions are those of a core, without a configuration where none is
// needed.
func (s *settings) describeOptions(name string) (core.Options, error) {
	_, bundled := bundledChannels()[name]
	cfg, err := s.load()
	if err != nil && !bundled && !strings.ContainsRune(name, os.PathSeparator) {
		return core.Options{}, err
	}
	options := core.Options{Environ: os.Environ(), Log: s.log.logger()}
	path := ""
	if err == nil {
		options.Config, path = cfg, cfg.Path
		s.log.set(cfg.Log)
	}
	options.Bundled, err = runBundled(path, s.dataDir())
	return options, err
}

// printManual writes for people.
func printManual(out io.Writer, m *core.Manual) error {
	return printTable(out, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %s %s\n", clean(m.Channel), cmp.Or(clean(m.Name), "a plugin without a name"), clean(m.Version))
		if m.Description != "" {
			fmt.Fprintf(w, "%s\n", clean(m.Description))
		}
		fmt.Fprintf(w, "\nROLES\t%s\n", cmp.Or(clean(strings.Join(m.Roles, ", ")), "it does not say"))
		fmt.Fprintf(w, "MADE WITH\t%s\n", cmp.Or(clean(m.SDK), "it does not say"))
		fmt.Fprintf(w, "RIGHTS\t%s\n", rightsOf(m))
		printKeys(w, m)
		printWords(w, "COMMANDS that it answers", m.Commands)
		printWords(w, "STATUSES that senders may read", m.Statuses)
	})
}

// rightsOf tells what the plugin wants and what it has.
func rightsOf(m *core.Manual) string {
	var rights []string
	for _, right := range m.Wanted {
		if slices.Contains(m.Granted, right) {
			rights = append(rights, right+" (granted)")
		} else {
			rights = append(rights, right+" (NOT granted)")
		}
	}
	for _, right := range m.Granted {
		if !slices.Contains(m.Wanted, right) {
			rights = append(rights, right+" (granted, not wanted)")
		}
	}
	return cmp.Or(strings.Join(rights, ", "), "none")
}

func printKeys(w io.Writer, m *core.Manual) {
	switch {
	case m.SchemaFault != "":
		fmt.Fprintf(w, "\nIts schema of the configuration is not served: %s\n", clean(m.SchemaFault))
		return
	case len(m.Keys) == 0:
		fmt.Fprint(w, "\nIt does not tell the keys of its configuration.\n")
		return
	}
	fmt.Fprintf(w, "\nKEYS of %s\n", clean(m.Section))
	for _, key := range m.Keys {
		fmt.Fprintf(w, "  %s\t%s\n", clean(key.Path), clean(traits(key)))
		if key.Description != "" {
			fmt.Fprintf(w, "  \t  %s\n", clean(key.Description))
		}
	}
}

// traits are what there is to say of a key besides its description.
func traits(key core.Key) string {
	kind := cmp.Or(key.Type, "anything")
	if key.Unit != "" {
		kind += " of " + key.Unit
	}
	all := []string{kind}
	for _, trait := range []struct {
		word string
		has  bool
	}{
		{"required", key.Required},
		{"secret", key.Secret},
		{"deprecated", key.Deprecated},
		{key.Allowed, key.Allowed != ""},
		{"default " + key.Default, key.Default != ""},
	} {
		if trait.has {
			all = append(all, trait.word)
		}
	}
	return strings.Join(all, ", ")
}

func printWords(w io.Writer, title string, words []core.Word) {
	if len(words) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	for _, word := range words {
		fmt.Fprintf(w, "  %s\t%s\n", clean(word.Word), clean(word.Meaning))
	}
}
