// Package control is the operator's way into a running relay: JSON over HTTP on
// a socket in the data directory, which only its owner may open.
//
//   - server.go: the API; status.go, messages.go, receivers.go: its parts
//   - rates.go: messages a second
//   - types.go: what it answers
//   - lend.go: tokens for receivers on this machine
//   - client.go: the other side, for commands
//
// The API, version 1. Errors are {"error": "what is wrong"} with an HTTP status.
//
//	GET  /v1/status                                 Status
//	GET  /v1/channels                               [Channel], those that are off last
//	POST /v1/messages Send                          Sent
//	GET  /v1/messages/MID                           Trace
//	GET  /v1/receivers?after=NAME&limit=N           Receivers, by name
//	GET  /v1/receivers/NAME                         Receiver
//	DELETE /v1/receivers/NAME                       {}
//	GET  /v1/dead?receiver=NAME&below=MID&limit=N   DeadLetters, newest first
//	POST /v1/dead/replay {"mid", "receiver"}        {}
//	POST /v1/dead/drop {"mid", "receiver"}          {}
//	GET  /v1/audit                                  Audit
//	POST /v1/backup {"path"}                        Backup; the path is absolute
//	POST /v1/lend {"name", "group"}                 Lent: a token to log in with, for some minutes
//
// It leaves what it answers to the engine and the store.
package control
