// Package link joins one plugin's stream to the relay: it decodes the plugin's
// envelopes into events, checks callers' credentials and the plugin's rights,
// encodes effects into envelopes, and bounds what is under way in both
// directions. The Switchboard, shared by all links, passes claimed commands
// from one plugin to another.
//
// It leaves processes to the supervisor and decisions about messages to the
// engine. core runs one Link per plugin process.
package link
