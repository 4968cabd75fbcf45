// Package conformance takes a channel plugin through what a core does to it, and
// through what a core's world does to both, and reports what the plugin does
// right and wrong. It is the engine behind plugintest.Conform, for the tests of
// an author in Go, and behind "mpush plugin test", for a plugin in any language.
//
// A [Target] is a plugin: an executable, which is started as the core does it,
// or a Go value in the caller's own process. A [Kit] runs [Checks] on it, each
// with a [Result]: passed, failed with what to do about it, or skipped with the
// reason. Some checks need others: what was not tried because of that is skipped.
//
// The kit is a core, not a world: it plays nobody's far side. A plugin whose
// server is not there answers RETRY, which is as lawful as an ack, and all that
// the kit judges is whether answers are lawful. So a check that passes says that
// the plugin keeps the protocol, not that messages arrive; a Target whose
// FarSide is set, or whose section names a server that is there, shows more.
//
//   - target.go, check.go, kit.go: what callers see
//   - process*.go, runner.go, inprocess.go: one run of the plugin
//   - life.go, requests.go, ledger.go, lawful.go: the core's part of it
//   - checks_*.go: the checks
//
// It imports nothing of the core, and nothing of package testing.
package conformance
