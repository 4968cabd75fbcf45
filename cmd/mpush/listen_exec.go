package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// execute gives a message to a shell command and waits for it. When ctx ends the
// command is interrupted.
func execute(ctx context.Context, command string, m *incoming, out, errs io.Writer) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	c := exec.CommandContext(ctx, "sh", "-c", command)
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 5 * time.Second
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(append(body, '\n')), out, errs
	c.Env = os.Environ()
	for _, variable := range [][2]string{
		{"MID", m.MID}, {"TEXT", m.Message.Text}, {"DESP", m.Message.Desp}, {"EXTRA", string(m.Message.Extra)},
		{"SENDTYPE", m.SendType}, {"TARGET", m.Target}, {"FROM", m.From.Name}, {"FROM_METHOD", m.From.Method},
	} {
		// A NUL is in no environment.
		c.Env = append(c.Env, "MPUSH_"+variable[0]+"="+strings.ReplaceAll(variable[1], "\x00", ""))
	}
	return c.Run()
}
