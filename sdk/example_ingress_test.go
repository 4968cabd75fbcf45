package sdk_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"mpush/sdk"
	"mpush/sdk/plugintest"
)

// lines is an ingress: each line that a TCP client writes, "TOKEN NAME TEXT", is
// a message, and the answer is what became of it.
type lines struct {
	listener net.Listener
	serving  sync.WaitGroup
}

func (*lines) Describe() sdk.Manifest {
	return sdk.Manifest{Name: "lines", Version: "1.0", Description: "Takes messages, one a line."}
}

// Start opens the listener and returns; ctx ends when the plugin must.
func (p *lines) Start(ctx context.Context, host sdk.Host) ([]string, error) {
	var err error
	if p.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	p.serving.Go(func() {
		for {
			conn, err := p.listener.Accept()
			if err != nil {
				return // closed by Stop
			}
			p.serving.Go(func() { p.serve(ctx, host, conn) })
		}
	})
	return []string{p.listener.Addr().String()}, nil
}

func (p *lines) serve(ctx context.Context, host sdk.Host, conn net.Conn) {
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer conn.Close()
	remote, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
	for scanner := bufio.NewScanner(conn); scanner.Scan(); {
		token, rest, _ := strings.Cut(scanner.Text(), " ")
		name, text, _ := strings.Cut(rest, " ")
		// The core checks the token and, when this returns, has the message on
		// disk and has waited for the receiver.
		published, err := host.Publish(ctx, sdk.Publish{
			Credentials: sdk.Credentials{Token: token, Remote: remote},
			SendType:    sdk.Personal, Target: name, Text: text, Wait: 3 * time.Second,
		})
		switch {
		case err != nil:
			fmt.Fprintln(conn, "refused:", err)
		case published.MID == 0:
			fmt.Fprintln(conn, "nobody has that name")
		default:
			fmt.Fprintln(conn, published.Statuses[0].Status)
		}
	}
}

// Stop closes the listener; the end of Start's ctx, which follows, closes the
// connections. It is called even if Start was not.
func (p *lines) Stop(context.Context) error {
	if p.listener == nil {
		return nil
	}
	return p.listener.Close()
}

func Example_ingress() {
	// func main() { sdk.Serve(&lines{}) }
	plugin := &lines{}
	core, end := try(plugin, plugintest.Options{})
	defer plugin.serving.Wait()
	defer end()

	conn, err := net.Dial("tcp", core.Endpoints()[0])
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	answers := bufio.NewScanner(conn)
	for _, line := range []string{"test ann hello", "wrong ann hello"} {
		fmt.Fprintln(conn, line)
		answers.Scan()
		fmt.Println(answers.Text())
	}
	// Output:
	// ok
	// refused: Token invalid
}
