// Package listen is for channels that clients connect to: where to listen, how
// many connections to take, and whose they are. It keeps nothing and knows no
// channel. Those that listen use it so that the same settings mean the same
// everywhere:
//
//   - [Host] applies the rule for an address that the operator left open
//   - [TCP] listens, and refuses connections beyond a limit
//   - [Serve] serves HTTP on it, and ends the process if it is lost
//   - [Crowd] counts what each client's address has open
//   - [Load] reads the certificate of those that encrypt by themselves
//   - [Proxies] finds a client's address behind trusted reverse proxies
//
// All functions are safe to call from any goroutine.
package listen

import (
	"net/netip"
	"strconv"

	"mpush/sdk"
)

// Loopback is the address that only programs on the same machine reach.
const Loopback = "127.0.0.1"

// OpenDoor is a setting that lets anybody in, whatever the relay's token is.
type OpenDoor struct {
	Why  string // "verifyToken is false"
	Mend string // "set it to true"
}

// Host returns the host to listen on for a channel whose setting key says host.
// One that is named is obeyed. "" is all interfaces, but loopback alone while
// the relay's token is weak or a door is open. Where that is so, a warning at
// key tells the operator. It is called from Configure.
func Host(config *sdk.Config, key, host string, doors ...OpenDoor) string {
	if config.WeakToken {
		doors = []OpenDoor{{Why: "the token is empty or well known", Mend: "set a token of your own"}}
	}
	switch {
	case len(doors) == 0 || isLoopback(host):
		return host
	case host == "":
		config.Warn(key, "listening on %s only, since %s: %s to be reachable from elsewhere, or name a host", Loopback, doors[0].Why, doors[0].Mend)
		return Loopback
	default:
		config.Warn(key, "%s is reachable from elsewhere while %s: %s", strconv.Quote(host), doors[0].Why, doors[0].Mend)
		return host
	}
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
