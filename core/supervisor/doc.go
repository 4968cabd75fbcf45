// Package supervisor runs channels as processes: it starts each one, shakes
// hands by HashiCorp's go-plugin (whose only user in the core it is), makes the
// calls of its life in their order, watches it, restarts it and ends it. It
// knows nothing of routing, storage or what travels on a channel's stream: its
// owner, the [Handler], answers with configuration and serves the stream.
//
// A channel's life:
//
//  1. its executable's checksum is verified, if pinned, and it is started
//  2. handshake: one line on its stdout, then gRPC on a local socket
//  3. Describe, then [Handler.Described] answers with the configuration
//  4. Configure, then [Handler.Diagnosed]
//  5. [Handler.Connect] opens the stream; the plugin declares its routes
//  6. all channels that are started together wait here for one another, so that
//     no listener takes a name that another channel's configuration holds; the
//     wait is bounded
//  7. Start; from here it is running, and asked for its health now and then
//  8. Stop with a deadline; its stdin closes; what is left is killed
//
// # What becomes of a process
//
// A plugin is the leader of a process group of its own; the group is killed
// when the plugin has ended, however that came about. On Linux the kernel kills
// the plugin when the core dies; everywhere its stdin is a pipe that the core
// holds open and never writes to, so that end of file there means the same. A
// descendant that leaves the process group is out of reach; it delays nothing,
// since the death of the process itself is awaited and not the end of its pipes.
//
// # What a pinned checksum covers
//
// The SHA-256 is taken at every start. On Linux a native executable is then run
// through the very file descriptor that was hashed, so that replacing the file
// meanwhile changes nothing. A script ("#!") or another foreign format is
// opened a second time by its interpreter and so is run by its path: there, a
// replacement between check and start is not noticed before the next start.
// Never covered are an interpreter, shared libraries, files that the plugin
// reads, and a writer who changes the hashed file in place at that moment: keep
// plugins where only their administrator may write.
//
// # Output
//
// Everything that a plugin writes to stderr or stdout is read for as long as it
// lives and is logged in bounded lines at a bounded rate; see [Options].Logger.
package supervisor
