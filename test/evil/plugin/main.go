// Command plugin is a channel that does wrong. It speaks the protocol by hand,
// below what the sdk would let pass, and each of its vices is chosen by name:
//
//	plugin -vice acks-ungiven
//
// Unless the vice shows at the start, it behaves well until its receiver, which
// has the channel's name, gets the message "begin". Before that it acknowledges
// what it gets, and tells so on stderr.
//
//   - main.go, serve.go: the process and its handshake
//   - channel.go: the calls of a plugin's life
//   - exchange.go: the stream, and how a vice speaks on it
//   - lies.go, floods.go, garbage.go: vices of the stream
//   - trespass.go: what its entry does not allow it
//   - deeds.go: vices of the process
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"mpush/sdk/pluginpb"
)

// vice is one way of doing wrong.
type vice struct {
	commands []string // that it claims
	// declares is what it declares besides its own receiver.
	declares func() []*pluginpb.DeclaredRoute
	mute     bool // it never speaks on the stream
	// act is what it does once it was told to begin. The vices that end return.
	act func(*exchange) error
}

// vices lists what there is, by name.
func vices(much bool) map[string]vice {
	all := make(map[string]vice)
	for _, some := range []map[string]vice{lies(much), floods(), garbage(), deeds(much), trespasses()} {
		for name, v := range some {
			all[name] = v
		}
	}
	return all
}

func main() {
	name := flag.String("vice", "", "what to do wrong")
	much := flag.Bool("much", false, "do more of it: a million routes, 1 GB of output")
	sleeper := flag.Bool("sleep", false, "be a child that sleeps")
	flag.Parse()
	if *sleeper {
		time.Sleep(time.Hour)
		return
	}
	v, known := vices(*much)[*name]
	if !known || os.Getenv(pluginpb.CookieKey) != pluginpb.CookieValue {
		var names []string
		for name := range vices(*much) {
			names = append(names, name)
		}
		slices.Sort(names)
		fmt.Fprintf(os.Stderr, "this is a plugin for tests of mpush; its vices are %s\n", strings.Join(names, ", "))
		os.Exit(2)
	}
	if err := serve(v); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
