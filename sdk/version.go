package sdk

// Version is the release of the SDK, which is that of mpush: three numbers, of
// which the first changes when a plugin's source must. It says nothing of the
// protocol: an SDK speaks the newest version that it knows and the one before
// (pluginpb.Spoken), and core and plugin find the newest that both speak by
// themselves, when the core calls Describe.
const Version = "0.1.0"

// features are those of the core that the SDK makes use of where they are
// offered. There are none yet: all of protocol 1 is its base.
func features() []string { return nil }
