package core

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"mpush/core/config"
	"mpush/core/schema"
	"mpush/core/supervisor"
	"mpush/sdk/pluginpb"
)

// Key is a key of a channel's section.
type Key = schema.Key

// Word is a word of the protocol with its meaning.
type Word struct{ Word, Meaning string }

// Manual is what a plugin says of itself, for people. Its texts are the
// plugin's: they may hold anything.
type Manual struct {
	Channel     string // as the configuration calls it
	Section     string // the key path of its section
	Name        string // as the plugin calls itself
	Version     string
	SDK         string
	Description string
	Roles       []string
	// Keys are those of the section. SchemaFault says why there are none, ""
	// with a plugin that tells none.
	Keys        []Key
	SchemaFault string
	Commands    []Word
	Statuses    []Word
	Wanted      []string // rights
	Granted     []string

	manifest *pluginpb.DescribeResponse
}

// MarshalJSON writes what the plugin said, unchanged, with its schema apart.
func (m *Manual) MarshalJSON() ([]byte, error) {
	manifest, ok := proto.Clone(m.manifest).(*pluginpb.DescribeResponse)
	if !ok {
		return nil, fmt.Errorf("describe %s: no manifest", m.Channel)
	}
	manifest.ConfigSchema = nil
	said, err := protojson.Marshal(manifest)
	if err != nil {
		return nil, err
	}
	all := map[string]any{"channel": m.Channel, "manifest": json.RawMessage(said), "granted": append([]string{}, m.Granted...)}
	if text := m.manifest.GetConfigSchema(); json.Valid(text) {
		all["schema"] = json.RawMessage(text)
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err = encoder.Encode(all)
	return b.Bytes(), err
}

// Describe asks a plugin what it is: a channel of the configuration, switched on
// or not, a bundled one, or any executable by its path, which has a slash in it.
// Without a configuration Options.Config is nil. mtls is for the latter.
func Describe(ctx context.Context, options Options, name string, mtls bool) (*Manual, error) {
	channel, err := described(&options, name, mtls)
	if err != nil {
		return nil, err
	}
	spec, rights, err := specOf(channel, &options)
	if err != nil {
		return nil, err
	}
	s := supervisor.New(supervisor.Options{Logger: options.Log, Features: features()})
	manifest, err := s.Describe(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("channel %s: %w", channel.Name, err)
	}
	if strings.ContainsRune(name, filepath.Separator) { // no entry names it yet, and a file's name may be none for a channel
		channel.Name = cmp.Or(manifest.GetName(), channel.Name)
	}
	return manualOf(channel, manifest, rights), nil
}

// described finds the channel that somebody means.
func described(options *Options, name string, mtls bool) (config.Channel, error) {
	if strings.ContainsRune(name, filepath.Separator) {
		path, err := filepath.Abs(name)
		return config.Channel{Name: filepath.Base(path), Path: path, MTLS: mtls}, err
	}
	known := []string{}
	if options.Config != nil {
		for _, channel := range options.Config.Channels {
			if channel.Name == name {
				return channel, nil
			}
			known = append(known, channel.Name)
		}
	}
	for bundled := range options.Bundled {
		if bundled == name {
			return config.Channel{Name: name, Bundled: true, MTLS: true}, nil
		}
		known = append(known, bundled)
	}
	slices.Sort(known)
	return config.Channel{}, fmt.Errorf("there is no channel %q, but %s; an executable is named by a path with a slash, such as .%c%[1]s",
		name, strings.Join(slices.Compact(known), ", "), filepath.Separator)
}

func manualOf(channel config.Channel, manifest *pluginpb.DescribeResponse, granted []pluginpb.Right) *Manual {
	m := &Manual{
		Channel: channel.Name, Section: "plugins." + channel.Name + ".config",
		Name: manifest.GetName(), Version: manifest.GetVersion(), SDK: manifest.GetSdk(), Description: manifest.GetDescription(),
		manifest: manifest,
	}
	if channel.Bundled {
		m.Section = channel.Name
	}
	for _, role := range manifest.GetRoles() {
		m.Roles = append(m.Roles, strings.ToLower(strings.TrimPrefix(role.String(), "ROLE_")))
	}
	for _, right := range manifest.GetRights() {
		m.Wanted = append(m.Wanted, rightName(right))
	}
	for _, right := range granted {
		m.Granted = append(m.Granted, rightName(right))
	}
	for _, command := range manifest.GetCommands() {
		word := Word{Word: command}
		for _, help := range manifest.GetCommandHelp() {
			if help.GetWord() == command {
				word.Meaning = help.GetMeaning()
			}
		}
		m.Commands = append(m.Commands, word)
	}
	for _, status := range manifest.GetStatuses() {
		m.Statuses = append(m.Statuses, Word{strings.ReplaceAll(status.GetWord(), "NAME", channel.Name), status.GetMeaning()})
	}
	if text := manifest.GetConfigSchema(); len(text) > 0 {
		if compiled, err := schema.Compile(text); err != nil {
			m.SchemaFault = err.Error()
		} else {
			m.Keys = compiled.Keys()
		}
	}
	return m
}
