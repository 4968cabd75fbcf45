package conformance

import (
	"fmt"
	"strings"
	"sync"
	"time"

	goplugin "github.com/hashicorp/go-plugin"

	"os"

	"mpush/sdk/pluginpb"
)

// instance is one run of the plugin, connected.
type instance interface {
	rpc() pluginpb.PluginClient
	// pid leads the group of the plugin's processes; 0 if it has none.
	pid() int
	// ended is closed when nothing is left of it.
	ended() <-chan struct{}
	// farewell says how it ended and what it left behind; valid then.
	farewell() (how string, left []int)
	// hangUp tells it that the core ends: stdin is closed.
	hangUp()
	// goodbye does what a core does after Stop: hangUp, and the shutdown call
	// of go-plugin.
	goodbye()
	// vanish does what a core's death does: pipes and connections break.
	vanish()
	// kill kills it with SIGKILL.
	kill()
	// close ends it and waits. It may be called again.
	close()
	// output is the end of what it wrote.
	output() string
	// shaken is the handshake line and the lines that came on stdout before.
	shaken() (handshake string, before []string)
}

// processInstance is an executable.
type processInstance struct {
	run    *processRunner
	client *goplugin.Client
	conn   goplugin.ClientProtocol
	grpc   pluginpb.PluginClient
	dir    string
	once   sync.Once
	byes   sync.WaitGroup
}

func (i *processInstance) connect() error {
	conn, err := i.client.Client()
	if err != nil {
		return err
	}
	i.conn = conn
	raw, err := conn.Dispense(pluginpb.PluginName)
	if err != nil {
		return err
	}
	i.grpc = raw.(pluginpb.PluginClient)
	return nil
}

func (i *processInstance) rpc() pluginpb.PluginClient { return i.grpc }
func (i *processInstance) pid() int                   { return i.run.proc.pid }
func (i *processInstance) ended() <-chan struct{}     { return i.run.proc.done }
func (i *processInstance) hangUp()                    { i.run.proc.hangUp() }
func (i *processInstance) vanish()                    { i.run.cut() }
func (i *processInstance) kill()                      { i.run.proc.kill() }
func (i *processInstance) output() string             { return i.run.words.tail() }

func (i *processInstance) farewell() (string, []int) {
	return i.run.proc.state.String(), i.run.proc.left
}

func (i *processInstance) shaken() (string, []string) {
	i.run.mu.Lock()
	defer i.run.mu.Unlock()
	return i.run.handshake, i.run.before
}

func (i *processInstance) goodbye() {
	i.hangUp()
	i.byes.Go(func() { _ = i.conn.Close() }) // returns at the latest when the process ends
}

func (i *processInstance) close() {
	i.once.Do(func() {
		if proc := i.run.proc; proc != nil {
			proc.kill()
			<-proc.done
		}
		i.byes.Wait()
		i.client.Kill()
		_ = os.RemoveAll(i.dir)
	})
}

const (
	tailBytes = 4 << 10
	tailLines = 20
)

// words keeps the end of what a plugin writes. It is a writer for any goroutine.
type words struct {
	mu   sync.Mutex
	text []byte
}

func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p...)
	if cut := len(w.text) - tailBytes; cut > 0 {
		w.text = append(w.text[:0], w.text[cut:]...)
	}
	return len(p), nil
}

func (w *words) tail() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(strings.ToValidUTF8(string(w.text), "\uFFFD")), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}

// awaitEnd waits until the plugin has ended.
func awaitEnd(i instance, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-i.ended():
		return nil
	case <-timer.C:
		return fmt.Errorf("it still runs %v later", limit)
	}
}
