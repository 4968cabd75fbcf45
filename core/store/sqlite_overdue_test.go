package store

import (
	"context"
	"fmt"
	"testing"

	"mpush/core/message"
	"mpush/core/record"
)

// After a start the keeper goes through all whose time is over, and most of that
// has ended.
func TestExpiryPassesOverWhatHasEnded(t *testing.T) {
	s := openTest(t)
	const ended = 2*overdueLook + 10
	ops := []record.Op{&record.SaveReceiver{Receiver: record.Receiver{Name: "a"}}}
	for mid := range message.MID(ended + 2) {
		ops = append(ops, &record.Put{
			Message: &message.Message{MID: mid + 1, ExpiresAt: int64(mid/2 + 1)}, Receivers: []string{"a"}, // two in each moment
		})
		if mid < ended {
			ops = append(ops, &record.Settle{Item: record.Item{Receiver: "a", Seq: record.Seq(mid + 1), MID: mid + 1, State: record.Acked, EndedAt: 1}})
		}
	}
	if err := s.Commit(context.Background(), ops); err != nil {
		t.Fatal(err)
	}
	const to = ended
	steps := 0
	for from, last := int64(0), int64(0); ; steps++ {
		overdue, next, err := s.Overdue(context.Background(), from, to, 256)
		if err != nil || next <= last {
			t.Fatalf("from %d: next is %d, %v", from, next, err)
		}
		if len(overdue) > 0 {
			if got, want := fmt.Sprint(overdue, next), fmt.Sprintf("[{a %d %d}] %d", ended+1, ended+2, to); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			break
		}
		from, last = next, next
	}
	if steps > 2 {
		t.Errorf("%d steps went by until what is open was found", steps)
	}
}
