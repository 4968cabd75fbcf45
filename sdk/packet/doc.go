// Package packet owns the JSON packets that mpush clients and servers exchange:
// {"cmd": string, "data": any, "auth"?: string}. It turns bytes into checked
// values and values into bytes, and knows nothing of connections, tokens or
// receivers.
//
// A channel that speaks the packets calls [Parse] on a frame or a body (or
// [ParseForm]) and then the parser of the command: [ParseSend],
// [ParseCallback], [ParseLogin]. What it answers it makes with one of the
// Append functions. Parse has checked the whole document, so the parsers of
// commands expect what it returned and do not check it again.
//
// What is JSON and what its strings mean is encoding/json's to say; members are
// picked by gjson, since a struct would take keys of any case. Beside them stand
// the limits, which keep hostile input cheap, and the sentences for clients.
//
// All functions are safe to call from any goroutine.
package packet
