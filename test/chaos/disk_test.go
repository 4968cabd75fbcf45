//go:build linux

package chaos

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"mpush/test/harness"
)

const (
	diskSize    = "size=128m"
	diskReserve = 8 << 20 // limits.diskReserve, bytes
)

// disk is a small one, for a data directory.
type disk struct {
	dir string
}

// newDisk mounts one. The test is skipped where it may not.
func newDisk(t *testing.T) *disk {
	d := &disk{dir: harness.Dir(t)}
	err := syscall.Mount("none", d.dir, "tmpfs", 0, diskSize)
	if errors.Is(err, syscall.EPERM) {
		t.Skip("only root may mount a small disk")
	}
	if err != nil {
		t.Fatal(os.NewSyscallError("mount", err))
	}
	t.Cleanup(func() {
		// Also if the test has failed and something of it still has a file there.
		if err := syscall.Unmount(d.dir, syscall.MNT_DETACH); err != nil {
			t.Error(os.NewSyscallError("unmount", err))
		}
	})
	return d
}

// becomes makes it the directory at path.
func (d *disk) becomes(t *testing.T, path string) {
	t.Helper()
	if err := os.Symlink(d.dir, path); err != nil {
		t.Fatal(err)
	}
}

// fill takes all space but so many bytes; the returned function gives it back.
func (d *disk) fill(t *testing.T, leave int64) (empty func()) {
	t.Helper()
	var now syscall.Statfs_t
	if err := syscall.Statfs(d.dir, &now); err != nil {
		t.Fatal(os.NewSyscallError("statfs", err))
	}
	file, err := os.Create(filepath.Join(d.dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	size := max(int64(now.Bavail)*now.Bsize-leave, now.Bsize)
	for {
		err := syscall.Fallocate(int(file.Fd()), 0, 0, size)
		if err == nil {
			break
		}
		// The relay takes space meanwhile.
		if size -= 16 * now.Bsize; size <= 0 || !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(os.NewSyscallError("fallocate", err))
		}
	}
	return func() {
		if err := os.Remove(file.Name()); err != nil {
			t.Fatal(err)
		}
	}
}

// fill has the disk full until some messages were refused, and then does
// something, before there is space again.
func (l *lane) fill(then func()) {
	l.t.Helper()
	leave := int64(0)
	if l.rand.IntN(2) == 0 {
		leave = l.rand.Int64N(diskReserve)
	}
	l.ledger.remark("fault", "the disk has %d bytes left", leave)
	empty := l.disk.fill(l.t, leave)
	want := l.ledger.total().Refused + 5
	if !l.ledger.await(patience, func() bool { return l.ledger.figures.Refused >= want }) {
		l.t.Errorf("on a full disk no message was refused within %v", patience)
	}
	if l.rand.IntN(3) == 0 {
		l.did("kill core on a full disk")
		l.killCore() // it starts there, too
	}
	then()
	empty()
	l.ledger.remark("fault", "the disk has space again")
}

func TestFullDiskRefusesAndLosesNothing(t *testing.T) {
	t.Parallel()
	d := newDisk(t)
	seed := chosenSeed()
	rounds := 4
	if testing.Short() {
		rounds = 2
	}
	t.Logf("%d rounds; again with -chaos.seed %d", rounds, seed)
	times := &restarts{}
	l := newLane(t, rand.New(rand.NewPCG(seed, lanes)), times, d)
	l.run(rounds)
	figures := l.ledger.total()
	figures.log(t)
	t.Log(times)
}
