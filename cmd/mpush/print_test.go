package main

import (
	"fmt"
	"io"
	"testing"

	"mpush/core/control"
)

// pieces is a reader of a command's output that tells what came at once.
type pieces []string

func (p *pieces) Write(b []byte) (int, error) {
	*p = append(*p, string(b))
	return len(b), nil
}

// "mpush status | grep -q text" goes when it has found the text: what is written
// after that kills mpush by SIGPIPE.
func TestOutputIsWrittenAtOnce(t *testing.T) {
	var status control.Status
	for i := range 30 {
		status.Channels = append(status.Channels, control.Channel{Name: fmt.Sprint("channel", i), State: control.Running})
	}
	for _, asJSON := range []bool{false, true} {
		o := &operator{json: asJSON}
		var got pieces
		if err := o.print(&got, status, func(w io.Writer) { printStatus(w, paint{}, &status) }); err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 {
			t.Errorf("json %v: it came in %d pieces: %.3q", asJSON, len(got), got)
		}
	}
}
