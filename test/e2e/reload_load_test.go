package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mpush/test/harness"
)

// Many reloads in a row, each of which stops and starts the way in and the plugin
// of a third party, while both are in use.
func TestReloadsUnderLoadLoseReorderAndLeaveNothing(t *testing.T) {
	t.Parallel()
	const senders = 4
	reloads := map[bool]int{false: 5, true: 20}[harness.Race]
	r := startReloading(t, nil)
	messages := filepath.Join(t.TempDir(), "messages.jsonl")
	r.reload(harness.Object{"plugins": filePlugin(t, messages, "group-0")}, "added=[file]")
	phone := r.Receiver(t, "phone")
	processes, files := len(r.Processes()), openFiles(t, r.PID())

	// Over HTTP to a socket, while the way in is restarted again and again; over
	// sockets to the plugin, while that is.
	stop, address := make(chan struct{}), r.Address(t, "http")
	var sending sync.WaitGroup
	sent := make([]sentOver, 2*senders)
	for i := range senders {
		sending.Go(func() { sent[i].overHTTP(address, i, stop) })
		socket := r.Receiver(t, fmt.Sprintf("sender%d", i))
		sending.Go(func() { sent[senders+i].overSocket(socket, senders+i, stop) })
	}
	fromPhone := make(chan inOrder, 1)
	go func() { fromPhone <- receive(phone) }()
	for i := range reloads {
		r.reload(harness.Object{
			"http":    r.section("http", harness.Object{"idleTimeout": 10_000 + i}),
			"plugins": filePlugin(t, messages, fmt.Sprintf("group-%d", i+1)),
		}, `changed="[http file]"`)
	}
	close(stop)
	sending.Wait()
	r.Do(t, atOnce("/phone.send?text=end"))
	r.Get(t, "/log.send?text=end").ExpectStatuses(t, statuses{"log": "ok"})
	atPhone, atFile := <-fromPhone, readMessages(t, messages)
	for i, s := range sent {
		got := atPhone
		if i >= senders {
			got = atFile
		}
		switch {
		case s.err != nil:
			t.Errorf("sender %d: %v", i, s.err)
		case s.accepted == 0:
			t.Errorf("sender %d has sent nothing", i)
		case got.last[i] != s.accepted:
			t.Errorf("of sender %d the last message is %d, it has sent %d", i, got.last[i], s.accepted)
		}
	}
	for _, trouble := range append(atPhone.troubles, atFile.troubles...) {
		t.Error(trouble)
	}
	t.Logf("%d messages accepted in %d reloads", total(sent), reloads)

	// Dead processes and closed connections are gone a moment later.
	for deadline := time.Now().Add(harness.Patience); len(r.Processes()) > processes || len(openFiles(t, r.PID())) > len(files); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("processes %v instead of %d, open files\n%q\nbefore\n%q", r.Processes(), processes, openFiles(t, r.PID()), files)
		}
	}
	left, err := os.ReadDir(filepath.Join(r.Dir, "data", "run"))
	if err != nil || len(left) != 4 {
		t.Errorf("of a lock and three channels' sockets the runtime directory has %v, %v", left, err)
	}
	if failed := r.lines("channel failed"); len(failed) > 0 {
		t.Errorf("channels have failed: %s", failed)
	}
}

// sentOver is what one sender has sent: the numbers from 1, each once it was
// accepted, until it is stopped or something is wrong.
type sentOver struct {
	accepted int
	err      error
}

func total(sent []sentOver) (n int) {
	for _, s := range sent {
		n += s.accepted
	}
	return n
}

// overHTTP sends to the phone. A connection that is refused, or closed without
// an answer, is what a restart looks like: the message is sent again.
func (s *sentOver) overHTTP(address string, sender int, stop <-chan struct{}) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: harness.Patience}
	for deadline := time.Now().Add(harness.Patience); ; {
		select {
		case <-stop:
			return
		default:
		}
		response, err := client.Get(fmt.Sprintf("http://%s/phone.send?text=%d+%d", address, sender, s.accepted+1))
		if err == nil {
			var body []byte
			body, err = io.ReadAll(response.Body)
			_ = response.Body.Close()
			if err == nil && (response.StatusCode != 200 || !strings.Contains(string(body), `"mid"`)) {
				s.err = fmt.Errorf("message %d: HTTP status %d, %s", s.accepted+1, response.StatusCode, body)
				return
			}
		}
		switch {
		case err == nil:
			s.accepted++
			deadline = time.Now().Add(harness.Patience)
		case time.Now().After(deadline):
			s.err = err
			return
		default:
			time.Sleep(time.Millisecond) // until it listens again
		}
	}
}

// overSocket sends to the file plugin's receiver. Nothing may go wrong.
func (s *sentOver) overSocket(socket *harness.Client, sender int, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		reply, err := socket.Ask(fmt.Sprintf(`{"cmd":"MESSAGE","data":{"sendType":"personal","target":"log","message":{"text":"%d %d"}}}`, sender, s.accepted+1))
		if err == nil && !strings.Contains(reply, `"log":"ok"`) {
			err = fmt.Errorf("the answer is %s", reply)
		}
		if err != nil {
			s.err = fmt.Errorf("message %d: %w", s.accepted+1, err)
			return
		}
		s.accepted++
	}
}

// inOrder checks that each sender's messages come in order and without gaps. One
// may come again, right after itself: with the same mid after a restart of its
// channel, with another one if its sender has sent it again.
type inOrder struct {
	last     map[int]int // by sender
	troubles []string
}

func (o *inOrder) add(text string) {
	var sender, number int
	if _, err := fmt.Sscan(text, &sender, &number); err != nil {
		o.troubles = append(o.troubles, fmt.Sprintf("text %q", text))
		return
	}
	if o.last == nil {
		o.last = make(map[int]int)
	}
	if before := o.last[sender]; number != before && number != before+1 {
		o.troubles = append(o.troubles, fmt.Sprintf("sender %d: message %d came after %d", sender, number, before))
	}
	o.last[sender] = number
}

// receive takes messages until the one that ends them.
func receive(phone *harness.Client) (got inOrder) {
	for {
		m, err := phone.Receive()
		if err == nil {
			err = phone.Confirm(m.MID)
		}
		if err != nil {
			got.troubles = append(got.troubles, err.Error())
			return got
		}
		if m.Text == "end" {
			return got
		}
		got.add(m.Text)
	}
}

// readMessages reads what the file plugin has written.
func readMessages(t *testing.T, path string) (got inOrder) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var packet struct {
			Data struct{ Message struct{ Text string } }
		}
		if err := json.Unmarshal([]byte(line), &packet); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		if packet.Data.Message.Text != "end" {
			got.add(packet.Data.Message.Text)
		}
	}
	return got
}

// openFiles lists what a process has open, but for its database, which has as
// many connections as it needs; nothing where there is no /proc.
func openFiles(t *testing.T, pid int) (files []string) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if target, err := os.Readlink(filepath.Join(dir, entry.Name())); err == nil && !strings.Contains(target, "mpush.db") {
			files = append(files, target)
		}
	}
	return files
}
