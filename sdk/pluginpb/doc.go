// Package pluginpb is the protocol between the core and a channel plugin:
// plugin.proto and the code generated from it. It owns the shape of the
// envelopes and nothing of their meaning; core/link and sdk are its two users.
package pluginpb

//go:generate go run ./protogen
