package main

import (
	"cmp"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"mpush/core/config"
)

// pinned is the answer of plugin pin, for scripts.
type pinned struct {
	Plugin     string `json:"plugin"`
	Config     string `json:"config"`
	Executable string `json:"executable"`
	Before     string `json:"before"` // "" for none
	SHA256     string `json:"sha256"`
	Changed    bool   `json:"changed"`
}

func pinCommand(s *settings) *cobra.Command {
	o := &operator{settings: s}
	cmd := &cobra.Command{
		Use:   "pin NAME",
		Short: "Write the SHA-256 of a plugin's executable into its entry",
		Long: `Pin computes the SHA-256 of the executable that the plugin's entry names and
writes it there, in the place of "unpinned". Comments and all else in the file
stay as they are. From then on the relay runs this executable and no other: run
pin again after each upgrade that you mean. A relay that runs takes the change
over by itself.

The sum covers neither an interpreter nor libraries that the executable loads.`,
		Example: "  mpush plugin pin telegram --config /etc/mpush.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			done, err := config.Pin(config.Options{Path: cmp.Or(s.config, os.Getenv("MPUSH_CONFIG")), Environ: os.Environ()}, args[0])
			if err != nil {
				return err
			}
			answer := pinned{args[0], done.File, done.Executable, done.Before, done.After, done.Changed()}
			return o.print(cmd.OutOrStdout(), answer, func(w io.Writer) {
				if answer.Changed {
					fmt.Fprintf(w, "%s: %s → %s (%s)\n", answer.Plugin, cmp.Or(answer.Before, "not pinned"), answer.SHA256, answer.Executable)
				} else {
					fmt.Fprintf(w, "%s: %s already (%s); nothing was changed\n", answer.Plugin, answer.SHA256, answer.Executable)
				}
			})
		},
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON, for scripts")
	return cmd
}
