package listen_test

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"mpush/sdk/listen"
)

func TestListenerThatEndsByItselfEndsTheProcess(t *testing.T) {
	const inChild = "MPUSH_TEST_CHILD"
	if os.Getenv(inChild) != "" {
		l, err := listen.TCP(t.Context(), listen.Options{Host: listen.Loopback, MaxConnections: 1})
		if err != nil {
			t.Fatal(err)
		}
		l.Close() // as if the system had taken it away
		listen.Serve(new(http.Server), l)
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), inChild+"=1")
	said, err := child.CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != 1 || !strings.Contains(string(said), "nobody can connect any more") || !strings.Contains(string(said), "address=127.0.0.1:") {
		t.Errorf("%v: %s", err, said)
	}
}

func TestServerThatIsClosedEndsNoProcess(t *testing.T) {
	l, err := listen.TCP(t.Context(), listen.Options{Host: listen.Loopback, MaxConnections: 1})
	if err != nil {
		t.Fatal(err)
	}
	server := new(http.Server)
	served := make(chan struct{})
	go func() {
		defer close(served)
		listen.Serve(server, l)
	}()
	server.Close()
	<-served
}
