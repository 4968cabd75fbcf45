package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// maxVariable bounds, in bytes, the value of a variable: Linux takes no more than
// 128 KiB, and no more in an argument, into which the command may put it.
const maxVariable = 100 << 10

// execute gives a message to a shell command and waits for it. When ctx ends the
// command is interrupted.
func execute(ctx context.Context, command string, m *incoming, out, errs io.Writer) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	body = append(body, '\n')
	inherited, own := environment(m)
	for {
		c := exec.CommandContext(ctx, "sh", "-c", command)
		c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
		c.WaitDelay = 5 * time.Second
		c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(body), out, errs
		c.Env = slices.Concat(inherited, own)
		// All of the environment is bounded, too. What is longest gives way.
		if err = c.Run(); !errors.Is(err, syscall.E2BIG) || len(own) == 0 {
			return err
		}
		own = own[:len(own)-1]
	}
}

// environment is what a command inherits, and the variables of its message, the
// longest last. One that is too long is left out, since half of a text looks like
// a whole one; and what was inherited does not stand in for it.
func environment(m *incoming) (inherited, own []string) {
	inherited = os.Environ()
	for _, variable := range [][2]string{
		{"MID", m.MID}, {"TEXT", m.Message.Text}, {"DESP", m.Message.Desp}, {"EXTRA", string(m.Message.Extra)},
		{"SENDTYPE", m.SendType}, {"TARGET", m.Target}, {"FROM", m.From.Name}, {"FROM_METHOD", m.From.Method},
	} {
		name, value := "MPUSH_"+variable[0]+"=", strings.ReplaceAll(variable[1], "\x00", "") // a NUL is in no environment
		inherited = slices.DeleteFunc(inherited, func(other string) bool { return strings.HasPrefix(other, name) })
		if len(value) <= maxVariable {
			own = append(own, name+value)
		}
	}
	slices.SortStableFunc(own, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
	return inherited, own
}
