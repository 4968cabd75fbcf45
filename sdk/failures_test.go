package sdk_test

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"mpush/sdk"
)

func ExampleFailures() {
	var failures sdk.Failures // a field of the plugin
	failures.Note("ann", errors.New("no such mailbox"))
	failures.Note("tom", errors.New("refused"))
	fmt.Println(failures.Err()) // what Health returns
	failures.Clear("ann")
	fmt.Println(failures.Err())
	failures.Clear("tom")
	fmt.Println(failures.Err())
	// Output:
	// ann: no such mailbox, and 1 more
	// tom: refused
	// <nil>
}

func TestFailuresKeepTheLastReasonOfEach(t *testing.T) {
	var failures sdk.Failures
	failures.Clear("nothing")
	if err := failures.Err(); err != nil {
		t.Errorf("at first: %v", err)
	}
	gone := errors.New("gone")
	failures.Note("ann", errors.New("slow"))
	failures.Note("ann", gone)
	failures.Note("bob", errors.New("slow"))
	if err := failures.Err(); !errors.Is(err, gone) || err.Error() != "ann: gone, and 1 more" {
		t.Errorf("error %v", err)
	}
}

func TestFailuresAreSafeForConcurrentUse(t *testing.T) {
	var failures sdk.Failures
	var working sync.WaitGroup
	for i := range 8 {
		working.Go(func() {
			for n := range 100 {
				failures.Note(strconv.Itoa(i), errors.New(strconv.Itoa(n)))
				_ = failures.Err()
			}
			failures.Clear(strconv.Itoa(i))
		})
	}
	working.Wait()
	if err := failures.Err(); err != nil {
		t.Errorf("after all is cleared: %v", err)
	}
}
