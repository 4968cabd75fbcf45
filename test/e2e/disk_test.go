package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mpush/test/harness"
)

// smallDisk is a directory on a disk of its own, for the data of a relay that is
// prepared later: it must be there until that has stopped.
func smallDisk(t *testing.T, megabytes int) (dir string) {
	t.Helper()
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("a disk of its own takes Linux and root: sudo -E go test ./test/e2e -run Disk")
	}
	if _, err := exec.LookPath("mount"); err != nil {
		t.Skip("a disk of its own takes mount: apt-get install mount")
	}
	dir = harness.Dir(t)
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm,mode=0700", megabytes), "mpush-test", dir).CombinedOutput()
	if err != nil {
		t.Skipf("no tmpfs can be mounted here: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})
	return dir
}

// keepsDataOn has a relay that does not run yet keep its data in a directory.
func keepsDataOn(t *testing.T, relay *harness.Relay, dir string) {
	t.Helper()
	if err := os.Symlink(dir, filepath.Join(relay.Dir, "data")); err != nil {
		t.Fatal(err)
	}
}

// fillDisk takes space away, all but so much, and returns what gives it back.
func fillDisk(t *testing.T, data string, leave int64) (release func()) {
	t.Helper()
	var disk syscall.Statfs_t
	if err := syscall.Statfs(data, &disk); err != nil {
		t.Fatal(err)
	}
	free := int64(disk.Bavail) * int64(disk.Bsize)
	if free <= leave {
		t.Fatalf("only %d bytes are free, %d shall be left", free, leave)
	}
	path := filepath.Join(data, "filler")
	if err := os.WriteFile(path, make([]byte, free-leave), 0o600); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNearlyFullDiskRefusesSendsAndSettlesAcks(t *testing.T) {
	t.Parallel()
	data := smallDisk(t, 32)
	relay := harness.New(t, harness.Object{"limits": harness.Object{"diskReserve": 8 << 20}})
	keepsDataOn(t, relay, data)
	relay.Start(t)
	phone := relay.Receiver(t, "phone")
	flying := queue(t, relay, "phone", "flying", "next")
	phone.ExpectText(t, "flying")

	release := fillDisk(t, data, 4<<20)
	relay.WaitLog(t, "level=ERROR", "disk", "limits.diskReserve", "8 MiB")
	relay.Do(t, atOnce("/phone.send?text=refused")).ExpectInfo(t, 503, "limits.diskReserve")
	relay.PostJSON(t, "/", `{"cmd":"MESSAGE","data":{"sendType":"group","target":"nobodys","message":{}}}`).ExpectInfo(t, 503, "limits.diskReserve")
	// What is there goes on: it is acknowledged, on disk and delivered.
	phone.Ack(t, flying[0])
	if got := phone.Take(t, "next"); got != flying[1] {
		t.Errorf("mid %s, expected %s", got, flying[1])
	}
	eventually(t, "both acks are on disk", func() bool {
		return statusNow(t, relay, flying[0])["phone"] == "ok" && balance(t, relay).Total.Acked == 2
	})
	// Receivers may still come.
	relay.Receiver(t, "tablet").ExpectNothing(t)

	release()
	relay.WaitLog(t, "level=INFO", "space again")
	nothingMore(t, relay, phone)
	relay.Stop(t)
	relay.Start(t)
	relay.Receiver(t, "phone").ExpectNothing(t)
	relay.Stop(t)
}

func TestFullDiskRefusesSendsAndLosesNothing(t *testing.T) {
	t.Parallel()
	data := smallDisk(t, 32)
	relay := harness.New(t, with(harness.FixedPorts(t), harness.Object{"limits": harness.Object{"diskReserve": 0}}))
	keepsDataOn(t, relay, data)
	relay.Start(t)
	relay.Away(t, "phone", "")
	release := fillDisk(t, data, 2<<20)
	padding := strings.Repeat("x", 60_000)
	send := func(n int) harness.Reply {
		t.Helper()
		return relay.Do(t, postJSON("/phone.send", fmt.Sprintf(`{"text":"%d","desp":%q}`, n, padding), "Prefer: wait=0"))
	}
	var mids []string
	accept := func(reply harness.Reply) {
		t.Helper()
		mids = append(mids, reply.ExpectStatuses(t, statuses{"phone": "ready"}))
	}
	refused := 0
	for n := 0; refused < 5; n++ {
		if n > 1000 {
			t.Fatal("the disk does not get full")
		}
		reply := send(len(mids))
		if reply.Status == http.StatusOK {
			accept(reply)
			continue
		}
		refused++
		reply.ExpectInfo(t, 503, "no space")
		if strings.Contains(reply.Body, "mpush.db") {
			t.Errorf("senders are told where the database is: %s", reply.Body)
		}
	}
	if len(mids) == 0 {
		t.Fatal("nothing was accepted")
	}
	relay.WaitLog(t, "level=ERROR", "refused", "no space")
	release()
	eventually(t, "sends are accepted again", func() bool {
		reply := send(len(mids))
		if reply.Status != http.StatusOK {
			return false
		}
		accept(reply)
		return true
	})
	// Once more, and then it is killed.
	release = fillDisk(t, data, 0)
	eventually(t, "the disk is full again", func() bool {
		reply := send(len(mids))
		if reply.Status == http.StatusOK {
			accept(reply)
		}
		return reply.Status == http.StatusServiceUnavailable
	})
	relay.Kill(t)
	release()
	relay.Start(t)
	phone := relay.Receiver(t, "phone")
	for n, mid := range mids {
		if got := phone.Take(t, strconv.Itoa(n)); got != mid {
			t.Errorf("message %d has the mid %s, it had %s", n, got, mid)
		}
	}
	nothingMore(t, relay, phone)
	if b := balance(t, relay); b.Total.Accepted != len(mids)+1 {
		t.Errorf("books %+v, %d were accepted", b, len(mids)+1)
	}
	relay.Stop(t)
}

// breakSync has calls of the core fail from now on: those that make a file of the
// data directory durable.
func breakSync(t *testing.T, relay *harness.Relay, file string) {
	t.Helper()
	path, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("failing fsyncs take strace: apt-get install strace")
	}
	file = filepath.Join(relay.Dir, "data", file)
	log := filepath.Join(relay.Dir, "strace.log")
	cmd := exec.Command(path, "-f", "-p", strconv.Itoa(relay.PID()), "-o", log,
		"-P", file, "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO")
	attached := &watched{want: []byte("attached"), seen: make(chan struct{})}
	cmd.Stderr = attached
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it lets go of what it traces
		<-ended
	})
	select {
	case <-attached.seen:
	case <-ended:
		t.Skipf("strace may not look at another process here: run as root\n%s", attached)
	case <-time.After(harness.Patience):
		t.Fatalf("strace does not attach\n%s", attached)
	}
}

// watched is an output in which something is waited for.
type watched struct {
	want []byte
	seen chan struct{}

	mu   sync.Mutex
	text []byte
	once sync.Once
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p...)
	if bytes.Contains(w.text, w.want) {
		w.once.Do(func() { close(w.seen) })
	}
	return len(p), nil
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.text)
}

// "An fsync error other than no-space: stop, say so, exit 1; never retry and call
// it good." The log is synced by each commit, the file itself when the log is
// moved into it.
func TestFailedFsyncStopsTheRelayAndLosesNothing(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"mpush.db-wal", "mpush.db"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			relay := harness.Start(t, harness.FixedPorts(t))
			relay.Away(t, "phone", "")
			mids := queue(t, relay, "phone", "0", "1", "2")
			address := relay.Address(t, "http")
			breakSync(t, relay, file)
			padding := strings.Repeat("x", 200_000)
			for n := 3; ; n++ {
				if n > 200 {
					t.Fatal("the relay goes on")
				}
				mid, err := accepted(address, "phone", strconv.Itoa(n), padding)
				if err != nil {
					break // refused, or there is no answer: nobody was told that it is accepted
				}
				mids = append(mids, mid)
			}
			if code := relay.Ended(t); code != 1 {
				t.Errorf("exit code %d, expected 1", code)
			}
			log := relay.Log()
			if !hasLine(log, "level=ERROR", "the data directory failed, stopping", "disk I/O error") || !hasLine(log, "mpush: the data directory failed") {
				t.Errorf("the log does not say what happened\n%s", log)
			}
			relay.Start(t)
			phone := relay.Receiver(t, "phone")
			for n, mid := range mids {
				if got := phone.Take(t, strconv.Itoa(n)); got != mid {
					t.Errorf("message %d has the mid %s, it had %s", n, got, mid)
				}
			}
			t.Logf("%d messages were accepted before the failure, all are there", len(mids))
		})
	}
}

func TestTornTailOfTheLogOpens(t *testing.T) {
	t.Parallel()
	texts := []string{"0", "1", "2", "3", "4"}
	killed := harness.Start(t, nil)
	killed.Away(t, "phone", "")
	mids := queue(t, killed, "phone", texts...)
	killed.Kill(t)
	for name, tear := range map[string]struct {
		damage func(t *testing.T, wal string, size int64)
		lost   int // commits that the damage itself takes
	}{
		"scribbled behind the end": {func(t *testing.T, wal string, _ int64) {
			file, err := os.OpenFile(wal, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = file.Write(bytes.Repeat([]byte("garbage!"), 5000))
			if closed := file.Close(); err != nil || closed != nil {
				t.Fatal(err, closed)
			}
		}, 0},
		"the last write cut short": {func(t *testing.T, wal string, size int64) {
			if err := os.Truncate(wal, size-1000); err != nil {
				t.Fatal(err)
			}
		}, 1},
		"the last write scribbled over": {func(t *testing.T, wal string, size int64) {
			file, err := os.OpenFile(wal, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = file.WriteAt(bytes.Repeat([]byte{0xa5}, 2000), size-2000)
			if closed := file.Close(); err != nil || closed != nil {
				t.Fatal(err, closed)
			}
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := filepath.Join(dataOf(t, killed), "data")
			relay := harness.New(t, nil)
			keepsDataOn(t, relay, data)
			wal := filepath.Join(data, "mpush.db-wal")
			info, err := os.Stat(wal)
			if err != nil {
				t.Fatal(err)
			}
			tear.damage(t, wal, info.Size())
			relay.Start(t)
			phone := relay.Receiver(t, "phone")
			for i := range len(mids) - tear.lost {
				if got := phone.Take(t, texts[i]); got != mids[i] {
					t.Errorf("message %s has the mid %s, it had %s", texts[i], got, mids[i])
				}
			}
			nothingMore(t, relay, phone)
			balance(t, relay)
		})
	}
}

// dataOf is a directory with a copy of the config file and the data of a relay
// that has ended.
func dataOf(t *testing.T, relay *harness.Relay) (dir string) {
	t.Helper()
	dir = harness.Dir(t)
	for _, part := range []string{".", "data"} {
		entries, err := os.ReadDir(filepath.Join(relay.Dir, part))
		if err == nil {
			err = os.MkdirAll(filepath.Join(dir, part), 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if !entry.Type().IsRegular() {
				continue
			}
			name := filepath.Join(part, entry.Name())
			content, err := os.ReadFile(filepath.Join(relay.Dir, name))
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, name), content, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func TestDamagedDatabaseIsRefusedAndLeftAlone(t *testing.T) {
	t.Parallel()
	relay := harness.Start(t, nil)
	relay.Away(t, "phone", "")
	queue(t, relay, "phone", "a", "b", "c")
	relay.Stop(t)
	for name, damage := range map[string]func(content []byte) []byte{
		"no database":      func(c []byte) []byte { return bytes.Repeat([]byte("not a database\n"), len(c)/15) },
		"cut short":        func(c []byte) []byte { return c[:len(c)/2] },
		"scribbled over":   func(c []byte) []byte { copy(c[100:], bytes.Repeat([]byte{0xa5}, 4000)); return c },
		"zeroed beginning": func(c []byte) []byte { clear(c[:4096]); return c },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := dataOf(t, relay)
			path := filepath.Join(dir, "data", "mpush.db")
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			damaged := damage(content)
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			got := harness.Run(t, dir, nil, "serve", "--config", "config.json", "--data", "data")
			failsToStart(t, got, path, "backup")
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, damaged) {
				t.Errorf("the file was changed, %v", err)
			}
		})
	}
}
