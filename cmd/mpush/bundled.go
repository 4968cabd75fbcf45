package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"mpush/core"
	"mpush/plugins/http"
	"mpush/plugins/webhook"
	"mpush/plugins/webpush"
	"mpush/plugins/websocket"
	"mpush/sdk"
	"mpush/sdk/pluginpb"
)

// bundledChannel is a channel within this executable.
type bundledChannel struct {
	make   func() sdk.Plugin
	rights []pluginpb.Right
	env    []string // for its process, unless the operator says otherwise
}

func bundledChannels() map[string]bundledChannel {
	return map[string]bundledChannel{
		"http": {make: http.New, rights: []pluginpb.Right{sdk.AcceptWithoutToken}},
		"websocket": {
			make: websocket.New, rights: []pluginpb.Right{sdk.AcceptWithoutToken},
			// It holds much and makes little garbage: with many idle sockets its
			// memory is two thirds of what a larger GOGC gives.
			env: []string{"GOGC=50"},
		},
		"webhook": {make: webhook.New, rights: []pluginpb.Right{sdk.MasterToken, sdk.TakeNames}},
		"webpush": {make: webpush.New},
	}
}

// oldKeys finds the web push keys of an old server, which kept them in a file
// beside its config.json: there, or in the data directory. "" is none.
func oldKeys(configPath, dataDir string) string {
	for _, dir := range []string{filepath.Dir(configPath), dataDir} {
		path, err := filepath.Abs(filepath.Join(dir, "keys"))
		if err != nil {
			continue
		}
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

// runBundled says how the core runs them: as subprocesses of this executable.
func runBundled(configPath, dataDir string) (map[string]core.Bundled, error) {
	command := "/proc/self/exe"
	if runtime.GOOS != "linux" {
		path, err := os.Executable()
		if err != nil {
			return nil, err
		}
		command = path
	}
	// Processes that each take all processors wake each other's threads for
	// nothing: on two of them a message costs a sixth less CPU so.
	share := "GOMAXPROCS=" + strconv.Itoa(max(1, runtime.GOMAXPROCS(0)/2))
	all := make(map[string]core.Bundled)
	for name, channel := range bundledChannels() {
		all[name] = core.Bundled{
			Command: command,
			Args:    []string{"plugin", "run", name},
			Env:     append([]string{share}, channel.env...),
			Rights:  channel.rights,
		}
	}
	if path := oldKeys(configPath, dataDir); path != "" {
		push := all["webpush"]
		push.Env = append(push.Env, webpush.OldKeysVariable+"="+path)
		all["webpush"] = push
	}
	return all, nil
}

// pluginCommand has what concerns one channel.
func pluginCommand(s *settings) *cobra.Command {
	group := &cobra.Command{
		Use:   "plugin",
		Short: "Make, pin and look at channels",
		Long: `A channel is a plugin: a process of its own. These commands are for who writes
one and for who runs it.`,
		Example: "  mpush plugin list\n  mpush plugin new pager --kind egress",
	}
	group.AddCommand(runCommand(), newCommand(), describeCommand(s), pinCommand(s), listCommand(s), pluginTestCommand())
	return group
}

// runCommand is the other end of runBundled.
func runCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "run NAME",
		Short:  "Run a bundled channel; the relay does this",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			channel, ok := bundledChannels()[args[0]]
			if !ok {
				names := slices.Sorted(maps.Keys(bundledChannels()))
				return fmt.Errorf("there is no bundled channel %q, but %s", args[0], strings.Join(names, ", "))
			}
			sdk.Serve(channel.make())
			return nil
		},
	}
}
