package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"mpush/core"
	"mpush/core/config"
)

// settings are the flags that several commands share.
type settings struct {
	config string
	data   string

	log     logging
	watcher *config.Watcher // of what is loaded; nil where nobody waits for changes
}

func root() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "mpush",
		Short: "A push relay: ordered, acknowledged messages to names and groups",
		Long: `mpush takes messages over HTTP and websocket and brings them to receivers, in
order and acknowledged. Without a command it serves.

` + exitCodes,
		Example: `  mpush                                    serve with ./config.json and ./data
  mpush --config /etc/mpush.json --data /var/lib/mpush
  mpush check                              is the configuration right?
  mpush init                               write a configuration to begin with
  mpush listen --name phone                be a receiver
  mpush send phone hello --wait            send to it, and see it arrive
  curl 'http://127.0.0.1:9093/phone.send?text=hello'
  source <(mpush completion bash)          complete commands and flags`,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), &s, cmd) },
	}
	cmd.PersistentFlags().StringVar(&s.config, "config", "", "configuration file (default config.json, or $MPUSH_CONFIG)")
	cmd.PersistentFlags().StringVar(&s.data, "data", "", "data directory (default data, or $MPUSH_DATA)")
	cmd.AddCommand(
		&cobra.Command{
			Use:   "serve",
			Short: "Run the relay (the default)",
			Long: `Serve runs the relay until it is asked to end (SIGINT, SIGTERM). It follows its
configuration: a change of the file takes effect if all of it is right, and
SIGHUP asks for the same.`,
			Example: "  mpush serve --config config.json --data data",
			Args:    cobra.NoArgs,
			RunE:    cmd.RunE,
		},
		&cobra.Command{
			Use:   "check",
			Short: "Check the configuration, each channel's included, without serving",
			Long: `Check loads the configuration and asks every channel about its section. It
prints what is wrong with file, line, column and key, and exits 1. It may be
used while a relay runs. Run it as the relay's user: plugins are started, and may
read what that user may.`,
			Example: "  mpush check --config /etc/mpush.json\n  sudo -u mpush mpush check --config /etc/mpush/config.json",
			Args:    cobra.NoArgs,
			RunE:    func(cmd *cobra.Command, _ []string) error { return check(cmd, &s) },
		},
		&cobra.Command{
			Use:     "version",
			Short:   "Print the version",
			Example: "  mpush version",
			Args:    cobra.NoArgs,
			Run:     func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), "mpush", version) },
		},
		pluginCommand(&s),
		tokenCommand(&s),
	)
	cmd.AddCommand(operatorCommands(&s)...)
	cmd.AddCommand(initCommand(&s), configCommand(&s), sendCommand(&s), listenCommand(&s))
	cmd.InitDefaultCompletionCmd() // a group as others are
	usageErrors(cmd)
	return cmd
}

// load reads the configuration.
func (s *settings) load() (*config.Config, error) {
	path := cmp.Or(s.config, os.Getenv("MPUSH_CONFIG"))
	return config.Load(config.Options{Path: path, PathExplicit: path != "", Environ: os.Environ(), Watcher: s.watcher})
}

// remark logs what is remarkable about a configuration.
func (s *settings) remark(log *slog.Logger, cfg *config.Config) {
	for _, warning := range cfg.Warnings {
		log.Warn("configuration", "what", warning)
	}
	if len(cfg.Unserved) > 0 {
		log.Warn("configuration that is known but not served yet", "keys", cfg.Unserved)
	}
}

func (s *settings) options() (core.Options, error) {
	cfg, err := s.load()
	if err != nil {
		return core.Options{}, err
	}
	s.log.set(cfg.Log)
	log := s.log.logger()
	s.remark(log, cfg)
	dataDir := s.dataDir()
	bundled, err := runBundled(cfg.Path, dataDir)
	if err != nil {
		return core.Options{}, err
	}
	return core.Options{
		Version: version,
		Config:  cfg, DataDir: dataDir,
		Bundled: bundled, Environ: os.Environ(), Log: log,
	}, nil
}
