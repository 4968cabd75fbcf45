package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes beside 0 and that of any other error, 1.
const (
	exitFailed       = 1
	exitUsage        = 2
	exitNotDelivered = 3
)

// exitCodes are for the help.
const exitCodes = `Exit codes: 0 all is well, 1 it failed (or a check or an audit found something
wrong), 2 the command line is not right, 3 not delivered in time (send --wait).`

// exitError is an error with an exit code of its own.
type exitError struct {
	error
	code int
}

// Unwrap returns the error itself.
func (e exitError) Unwrap() error { return e.error }

func exitCode(err error) int {
	if coded, ok := errors.AsType[exitError](err); ok {
		return coded.code
	}
	return exitFailed
}

// usageErrors makes exit code 2 of what is wrong with flags and arguments, in a
// command and all below it.
func usageErrors(cmd *cobra.Command) {
	wrap := func(cmd *cobra.Command, err error) error {
		if err == nil {
			return nil
		}
		return exitError{errors.New(err.Error() + ` (see "` + cmd.CommandPath() + ` --help")`), exitUsage}
	}
	cmd.SetFlagErrorFunc(wrap)
	if cmd.HasSubCommands() {
		cmd.Args = noCommand
		if !cmd.Runnable() { // else cobra looks at no arguments
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			if err == nil {
				err = cmd.ValidateRequiredFlags() // cobra does so after this, and is not asked how
			}
			return wrap(cmd, err)
		}
	}
	for _, below := range cmd.Commands() {
		usageErrors(below)
	}
}

// noCommand refuses the arguments of a group of commands: one would be a command.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2 // at most so many letters are wrong
	var meant []string
	for _, name := range cmd.SuggestionsFor(args[0]) {
		meant = append(meant, strconv.Quote(name))
	}
	hint := ""
	if len(meant) > 0 {
		hint = ", did you mean " + strings.Join(meant, " or ") + "?"
	}
	return fmt.Errorf("unknown command %q for %q%s", args[0], cmd.CommandPath(), hint)
}
