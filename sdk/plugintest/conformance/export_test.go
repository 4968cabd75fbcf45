package conformance

import "mpush/sdk/pluginpb"

// Serve makes a target of a plugin without the sdk, in this process.
func Serve(target Target, serve func() pluginpb.PluginServer) Target {
	target.serve = serve
	return target
}

// TakesProcess tells whether a check is for executables only.
func TakesProcess(c Check) bool { return c.process }
