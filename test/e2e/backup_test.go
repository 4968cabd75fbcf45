package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"mpush/test/harness"
)

// flood sends to a receiver from several senders until stop is closed. It
// returns what was accepted, texts by mid.
type flood struct {
	stop    chan struct{}
	senders sync.WaitGroup

	mu       sync.Mutex
	accepted map[string]string
	grown    chan struct{} // closed at the next one
	faults   []error
}

func startFlood(address, receiver string) *flood {
	f := &flood{stop: make(chan struct{}), accepted: make(map[string]string), grown: make(chan struct{})}
	for sender := range 4 {
		f.senders.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-f.stop:
					return
				default:
				}
				text := fmt.Sprintf("%d-%d", sender, n)
				mid, err := accepted(address, receiver, text, "")
				f.mu.Lock()
				if err != nil {
					f.faults = append(f.faults, err)
					f.mu.Unlock()
					return
				}
				f.accepted[mid] = text
				close(f.grown)
				f.grown = make(chan struct{})
				f.mu.Unlock()
			}
		})
	}
	return f
}

// accepted sends a message without waiting for the receiver, and returns its
// mid. Any goroutine may call it.
func accepted(address, receiver, text, desp string) (string, error) {
	body := strings.NewReader(fmt.Sprintf(`{"text":%q,"desp":%q}`, text, desp))
	request, err := http.NewRequest(http.MethodPost, "http://"+address+"/"+receiver+".send", body)
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Prefer", "wait=0")
	client := http.Client{Timeout: harness.Patience}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	reply, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %d %s", text, response.StatusCode, reply)
	}
	_, after, found := strings.Cut(string(reply), `"mid":"`)
	mid, _, closed := strings.Cut(after, `"`)
	if !found || !closed {
		return "", fmt.Errorf("%s: %s", text, reply)
	}
	return mid, nil
}

// waitFor waits until so many more were accepted, and returns all.
func (f *flood) waitFor(more int) map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for target := len(f.accepted) + more; len(f.accepted) < target && len(f.faults) == 0; {
		grown := f.grown
		f.mu.Unlock()
		<-grown
		f.mu.Lock()
	}
	now := make(map[string]string, len(f.accepted))
	for mid, text := range f.accepted {
		now[mid] = text
	}
	return now
}

func (f *flood) end(t *testing.T) {
	t.Helper()
	close(f.stop)
	f.senders.Wait()
	for _, err := range f.faults {
		t.Error(err)
	}
}

func TestBackupUnderLoadHasWhatWasAcceptedBefore(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, nil)
	relay.Away(t, "phone", "family")
	f := startFlood(relay.Address(t, "http"), "phone")
	before := f.waitFor(300)
	file := filepath.Join(relay.Dir, "copy.db")
	text := operates(t, relay, "backup", "copy.db") // relative to where the operator is
	f.waitFor(20)
	f.end(t)
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%s: %d bytes\n", file, info.Size()); text != want {
		t.Errorf("mpush backup says %q, expected %q", text, want)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the copy has the mode %v", info.Mode())
	}
	got := operate(t, relay, "backup", file)
	if got.Code != 1 || !strings.Contains(got.Stderr, "is there already") {
		t.Errorf("over a file: exit code %d, %s", got.Code, got.Stderr)
	}
	got = operate(t, relay, "backup", "no/such/directory.db")
	if got.Code != 1 || !strings.Contains(got.Stderr, "no such file or directory") {
		t.Errorf("into nowhere: exit code %d, %s", got.Code, got.Stderr)
	}

	restored := harness.New(t, nil)
	data := filepath.Join(restored.Dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "mpush.db"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	restored.Start(t)
	b := balance(t, restored)
	if b.Total.Pending < len(before) || b.Total.Pending != b.Total.Accepted {
		t.Errorf("books of the copy %+v, %d were accepted before it was made", b, len(before))
	}
	phone := restored.Member(t, "phone", "family")
	last := "0"
	for range b.Total.Pending {
		m := phone.NextMessage(t)
		if text, known := before[m.MID]; known && text != m.Text {
			t.Errorf("%s is %q, it was %q", m.MID, m.Text, text)
		}
		delete(before, m.MID)
		last = increasing(t, last, m.MID)
		phone.Ack(t, m.MID)
	}
	if len(before) > 0 {
		t.Errorf("not in the copy, though accepted before it was made: %v", before)
	}
	nothingMore(t, restored, phone)
	if b := balance(t, restored); b.Total.Pending > 1 { // the fence's ack may be on its way
		t.Errorf("books after all was received %+v", b)
	}
}
