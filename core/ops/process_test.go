package ops

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestUsageIsThatOfThisLookAndOfAllProcesses(t *testing.T) {
	var p processes
	look := func(pid int) usage {
		usages := p.look([]Channel{{Name: "way", PID: pid}})
		if usages == nil {
			t.Skip("this system does not tell what processes use")
		}
		return usages[0]
	}
	for began := time.Now(); time.Since(began) < 50*time.Millisecond; { // the system counts in ticks
	}
	first := look(os.Getpid())
	if first.cpu <= 0 || first.files <= 0 {
		t.Errorf("the first look: %+v", first)
	}
	if gone := look(0); gone.cpu != first.cpu || gone.files >= 0 {
		t.Errorf("without a process: %+v after %+v", gone, first)
	}
	child := exec.Command("/bin/sleep", "1000")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	next := look(child.Process.Pid)
	_ = child.Process.Kill()
	_ = child.Wait()
	if next.cpu < first.cpu || next.files <= 0 {
		t.Errorf("with the next process: %+v after %+v", next, first)
	}
}
