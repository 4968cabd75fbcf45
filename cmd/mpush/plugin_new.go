package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mpush/cmd/mpush/scaffold"
	"mpush/core/config"
)

func newCommand() *cobra.Command {
	var kind, dir, checkout string
	cmd := &cobra.Command{
		Use:   "new NAME --kind egress|ingress|both",
		Short: "Make the folder of a new channel in Go",
		Long: `New makes a folder with a Go module: a channel that builds and passes its test, a
README and an entry for config.json. An egress brings messages to receivers, an
ingress takes messages from senders.

The module mpush has no public home yet, so the new module takes it from a
checkout (replace in go.mod): the one that the working directory is in, or --sdk.`,
		Example: `  mpush plugin new pager --kind egress
  mpush plugin new mailbox --kind ingress --dir ~/src/mailbox --sdk ~/src/mpush`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			if err := config.CheckPluginName(name); err != nil {
				return exitError{err, exitUsage}
			}
			if kinds := scaffold.Kinds(); !slices.Contains(kinds, kind) {
				return exitError{fmt.Errorf("--kind: expected one of %s, not %q", strings.Join(kinds, ", "), kind), exitUsage}
			}
			found, err := scaffold.Checkout(cmp.Or(checkout, "."))
			if err != nil {
				return err
			}
			dir := cmp.Or(dir, name)
			if err := scaffold.Make(cmd.Context(), scaffold.Options{Name: name, Kind: kind, Dir: dir, Checkout: found}); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), `%s is in %s. Next:

  cd %s
  go test ./...
  go build -o %s .

Then paste config.jsonc under "plugins" into config.json, and:

  mpush plugin pin %[1]s
  mpush check

main.go is yours now; README.md says more.
`, name, dir, shellWord(dir), name)
			return nil
		},
	}
	cmd.Flags().StringVar(&kind, "kind", "", strings.Join(scaffold.Kinds(), ", "))
	cmd.Flags().StringVar(&dir, "dir", "", "the folder (default ./NAME); made if missing, and must be empty")
	cmd.Flags().StringVar(&checkout, "sdk", "", "a checkout of mpush (default: the one that the working directory is in)")
	_ = cmd.MarkFlagRequired("kind") // there is such a flag
	return cmd
}

// shellWord is a path as a shell takes it.
func shellWord(path string) string {
	path = filepath.Clean(path)
	if strings.ContainsAny(path, " \t'\"$`\\&;|<>()*?[]#!") {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}
