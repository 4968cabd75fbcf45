package core

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"mpush/core/config"
	"mpush/core/schema"
	"mpush/core/supervisor"
)

// Explanation is the configuration as it takes effect.
type Explanation struct {
	Values []config.Value `json:"values"`
	// Unknown tells of channels that can not be asked what of their section is a
	// secret, by name: all of it is hidden, and defaults are missing.
	Unknown map[string]string `json:"unknown,omitempty"`
}

// Explain tells each value of a configuration and where it came from, secrets
// hidden. It asks the channels that are switched on what is a secret, and what
// they do by default.
func Explain(ctx context.Context, options Options) (*Explanation, error) {
	all := &Explanation{Values: options.Config.Own(), Unknown: make(map[string]string)}
	s := supervisor.New(supervisor.Options{Logger: options.Log, Features: features()})
	for _, channel := range options.Config.Channels {
		if !channel.Enabled {
			all.Values = append(all.Values, options.Config.Section(channel.Name, nil)...)
			continue
		}
		compiled, err := schemaOf(ctx, s, channel, &options)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err != nil {
			all.Unknown[channel.Name] = err.Error()
			all.Values = append(all.Values, options.Config.Section(channel.Name, nil)...)
			continue
		}
		secrets := compiled.Secrets(channel.Section)
		values := options.Config.Section(channel.Name, func(text string) bool { return slices.Contains(secrets, text) })
		all.Values = append(all.Values, values...)
		all.Values = append(all.Values, defaults(channel, compiled.Keys(), values)...)
	}
	return all, nil
}

func schemaOf(ctx context.Context, s *supervisor.Supervisor, channel config.Channel, options *Options) (*schema.Schema, error) {
	spec, _, err := specOf(channel, options)
	if err != nil {
		return nil, err
	}
	manifest, err := s.Describe(ctx, spec)
	if err != nil {
		return nil, err
	}
	if len(manifest.GetConfigSchema()) == 0 {
		return nil, fmt.Errorf("the plugin does not tell its keys")
	}
	return schema.Compile(manifest.GetConfigSchema())
}

// defaults are those of keys that the section does not give.
func defaults(channel config.Channel, keys []schema.Key, given []config.Value) (values []config.Value) {
	base := channel.Name
	if !channel.Bundled {
		base = "plugins." + channel.Name + ".config"
	}
	for _, key := range keys {
		path := base + "." + key.Path
		below := func(v config.Value) bool {
			return v.Path == path || strings.HasPrefix(v.Path, path+".") || strings.HasPrefix(v.Path, path+"[")
		}
		if key.Default == "" || key.Secret || strings.ContainsAny(key.Path, "*[") || slices.ContainsFunc(given, below) {
			continue
		}
		values = append(values, config.Value{Path: path, Value: json.RawMessage(key.Default), Origin: "default"})
	}
	return values
}
