// Package config owns what the operator wrote: it loads config.json with its
// comments, lays the environment and the command line over it, checks the
// relay's own keys, and hands each channel its section as the bytes of the file.
//
// What is inside a channel's section it does not judge: the channel does, and
// Config.Fault says where in the file its complaint belongs. The one exception
// is what no channel can see alone; that, with everything else that is known of
// the bundled channels, stands in legacy.go.
//
// The data goes one way: source (bytes, positions) → node (tree) → overrides
// (environment, flags) → settings (the relay's keys, through koanf) and channels
// (sections, with ${env:…} and ${file:…} expanded) → Config.
//
// A Watcher tells when what was read has changed; whether it is loaded again is
// its owner's decision.
package config
