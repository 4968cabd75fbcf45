// Package foreign tries channels that are not written in Go: each is run by a
// relay as an operator would, and hands what it is given to a service that the
// test plays.
//
//   - farside.go: [FarSide], the service
//   - handshake.go: go-plugin's own client
//   - trial.go: what every such channel must stand
//
// Its own tests see that the examples' copies of the protocol are current.
package foreign
