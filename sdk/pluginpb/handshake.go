package pluginpb

// The handshake keeps a plugin from being run by hand and a core from running
// something that is no plugin of its own. It is no security measure.
const (
	// CookieKey is the environment variable that a core sets for its plugins.
	CookieKey = "MPUSH_PLUGIN"
	// CookieValue is the value that it must have.
	CookieValue = "b1d97e3c5f0a4826ae7346d80c2f95be"
	// ProtocolVersion is the newest version of the protocol, the one that
	// plugin.proto describes; see Spoken.
	ProtocolVersion = 1
	// PluginName is the one entry of go-plugin's plugin set.
	PluginName = "channel"
	// DebugVariable is the environment variable that has a plugin of the Go SDK
	// wait at a Unix socket, its value, instead of being started by the core.
	DebugVariable = "MPUSH_PLUGIN_DEBUG"
)
