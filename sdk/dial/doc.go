// Package dial is for channels that call out over HTTP: by which proxy, how
// patiently, and to which addresses at all. It keeps nothing and knows no
// channel. Those that call out use it so that the same settings mean the same
// everywhere:
//
//   - [Proxy] is a proxy as an operator writes it down
//   - [Transport] makes the connections and the requests
//   - [Public] and [PublicOnly] keep a url that a stranger chose out of the
//     operator's own network
//   - [Reason] is why a call failed, in words that are fit for a log
//   - [RetryAfter] is when a server wants to be asked again
//
// All functions are safe to call from any goroutine.
package dial
