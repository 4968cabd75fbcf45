package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"mpush/test/harness"
)

const patience = 60 * time.Second

// mosquitto is a broker of the tests' own, at a port of its own, that keeps
// sessions over its restarts.
type mosquitto struct {
	port   int
	config string
	cmd    *exec.Cmd
	done   chan struct{}
}

// startMosquitto runs it with more lines of its configuration.
func startMosquitto(t *testing.T, more string) *mosquitto {
	t.Helper()
	m := &mosquitto{port: harness.ReservePort(t)}
	dir := t.TempDir()
	m.config = filepath.Join(dir, "mosquitto.conf")
	text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\nlog_dest stderr\npersistence true\npersistence_location %s/\nmax_queued_messages 0\n%s\n", m.port, dir, more)
	if os.Geteuid() == 0 {
		text += "user root\n" // else it gives up its right to write there
	}
	if err := os.WriteFile(m.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.stop(t) }) // also of one that does not start
	m.start(t)
	return m
}

func program(t *testing.T) string {
	t.Helper()
	for _, path := range []string{"mosquitto", "/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	t.Skip("there is no mosquitto: apt-get install mosquitto")
	return ""
}

func (m *mosquitto) start(t *testing.T) {
	t.Helper()
	m.cmd = exec.Command(program(t), "-c", m.config)
	said, err := m.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := harness.Child(m.cmd); err != nil {
		t.Fatal(err)
	}
	m.done = make(chan struct{})
	running := make(chan bool, 1)
	go func() {
		defer close(m.done)
		var log strings.Builder
		for lines := bufio.NewScanner(said); lines.Scan(); {
			fmt.Fprintln(&log, lines.Text())
			if strings.HasSuffix(lines.Text(), " running") {
				running <- true
			}
		}
		select {
		case running <- false:
			t.Log(log.String())
		default:
		}
	}()
	select {
	case ok := <-running:
		if !ok {
			t.Fatal("mosquitto did not start")
		}
	case <-time.After(patience):
		t.Fatal("mosquitto does not start")
	}
}

func (m *mosquitto) stop(t *testing.T) {
	t.Helper()
	if m.cmd == nil || m.cmd.Process == nil {
		return
	}
	_ = m.cmd.Process.Signal(syscall.SIGTERM)
	<-m.done
	_ = m.cmd.Wait()
	m.cmd = nil
}

func (m *mosquitto) url() string { return fmt.Sprintf("mqtt://127.0.0.1:%d", m.port) }

// device is somebody else at the broker.
type device struct {
	t      *testing.T
	client *paho.Client

	mu    sync.Mutex
	came  []*paho.Publish
	grown chan struct{}
}

// device connects one that subscribes to filters.
func (m *mosquitto) device(t *testing.T, filters ...string) *device {
	t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", m.port))
	if err != nil {
		t.Fatal(err)
	}
	d := &device{t: t, grown: make(chan struct{})}
	d.client = paho.NewClient(paho.ClientConfig{
		Conn: conn, PacketTimeout: patience,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.came = append(d.came, p.Packet)
			close(d.grown)
			d.grown = make(chan struct{})
			return true, nil
		}},
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := d.client.Connect(ctx, &paho.Connect{KeepAlive: 600, CleanStart: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = d.client.Disconnect(&paho.Disconnect{})
		<-d.client.Done()
	})
	for _, filter := range filters {
		if _, err := d.client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: 1, RetainAsPublished: true}}}); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// publish sends a message and waits until the broker has it. The broker says
// whether anybody has subscribed to it.
func (d *device) publish(topic, payload string, retain bool) (reason byte) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer, err := d.client.Publish(ctx, &paho.Publish{Topic: topic, QoS: 1, Retain: retain, Payload: []byte(payload)})
	if err != nil {
		d.t.Fatal(err)
	}
	return answer.ReasonCode
}

// until waits for what came to meet a condition, and returns it.
func (d *device) until(condition func([]*paho.Publish) bool) []*paho.Publish {
	d.t.Helper()
	timeout := time.After(patience)
	for {
		d.mu.Lock()
		came, grown := slices.Clone(d.came), d.grown
		d.mu.Unlock()
		if condition(came) {
			return came
		}
		select {
		case <-grown:
		case <-timeout:
			d.t.Fatalf("%d came, and not what is awaited", len(came))
		}
	}
}
