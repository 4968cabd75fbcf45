package main

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"mpush/core/config"
)

// sample is a configuration to begin with. %q is the token.
const sample = `// The configuration of mpush. Comments and trailing commas are allowed, every key
// has a default: "mpush config show" tells all of them, and docs/config.md what
// they mean. A change takes effect a moment after the file is written.
{
  // Who has it may send to all and receive as anybody. Keep it secret: this file
  // is for its owner alone.
  "token": %q,

  // Senders: http://HOST:9093/NAME.send?text=hello
  "http": {
    // "" is all interfaces; "127.0.0.1" this machine alone, as behind a proxy.
    "host": "",
    "port": 9093,
    // Must senders show the token, as "Authorization: Bearer TOKEN"?
    "verifyToken": true,
  },

  // Receivers: ws://HOST:9094
  "websocket": {
    "host": "",
    "port": 9094,
  },

  // Receivers that are urls: each message is a request.
  "webhook": {
    "clients": [
      // {"name": "nas", "url": "https://nas.example.org/hook", "method": "POST"},
    ],
  },

  // Browsers. Switch it off if nobody needs it.
  "webpush": {
    "enabled": true,
  },

  "limits": {
    // A message that was not delivered for so long is a dead letter.
    "ttl": "7d",
  },
}
`

func initCommand(s *settings) *cobra.Command {
	force := false
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a commented configuration with a strong random token",
		Long: `Init writes config.json into DIR (default: here), or the file of --config. The
file belongs to who runs this, is for its owner alone (mode 0600) and has a random
token of 256 bits: a service that runs as another user must be given the right to
read it (docs/operate/run.md). A file that is there is left as it is, unless --force
is given.`,
		Example: "  mpush init\n  mpush init relay\n  mpush init --config relay/other.json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := cmp.Or(s.config, os.Getenv("MPUSH_CONFIG"), config.DefaultPath)
			if len(args) == 1 {
				if s.config != "" {
					return exitError{errors.New("give DIR or --config, not both"), exitUsage}
				}
				path = filepath.Join(args[0], config.DefaultPath)
			}
			if err := writeSample(path, force); err != nil {
				return err
			}
			at := ""
			if path != config.DefaultPath {
				at = " --config " + shellWord(path)
			}
			fmt.Fprintf(cmd.OutOrStdout(), `%s is written, with a strong random token in it.

Next:
  mpush check%s                     is it right?
  mpush serve%[2]s                     run the relay
  mpush listen --name phone         be a receiver, in another terminal
  mpush send phone hello --wait     send to it, in a third
`, path, at)
			return nil
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "write over a file that is there")
	return cmd
}

// writeSample writes the configuration to a new file; with force over an old one,
// all of it or nothing.
func writeSample(path string, force bool) error {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	text := fmt.Appendf(nil, sample, base64.RawURLEncoding.EncodeToString(secret[:]))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	target := path
	if force {
		target = path + ".new"
		_ = os.Remove(target) // of a run that was cut off
	}
	file, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already and was left as it is: --force writes over it, and its token is lost", path)
	}
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil && force {
		err = os.Rename(target, path)
	}
	if err != nil {
		_ = os.Remove(target)
	}
	return err
}
