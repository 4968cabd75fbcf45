package sdk

import (
	"errors"
	"fmt"
	"testing"
)

func TestNewGenerationVoidsTheOldOne(t *testing.T) {
	r, s := newRecorder(t)
	s.attach("phone", 1, Policy{Prefetch: 8})
	s.lease(1, 10, 11)
	old := r.last()
	s.attach("phone", 2, Policy{Prefetch: 8})
	s.lease(1, 12) // stale
	r.expect(t, "10", "")
	s.evict("phone", 1) // of the old one
	s.lease(2, 10, 11)
	r.expect(t, "10", "")
	old.Done(errors.New("socket closed"))
	r.expect(t, "", "")
	s.acked("phone", 2, 10)
	r.expect(t, "11", "10:ACKED")
	s.lease(3, 11) // newer, without an attach
	r.expect(t, "11", "")
}

func TestLateAckOfAnOldGenerationIsReported(t *testing.T) {
	r, s := newRecorder(t)
	s.lease(1, 10, 11)
	old := r.last()
	s.lease(2, 10)
	r.expect(t, "10 10", "")
	old.Done(nil)
	old.Done(nil)
	if !r.outcomes[0].GetLate() {
		t.Error("it is not marked as late")
	}
	r.expect(t, "", "10:ACKED")
	if s.acked("phone", 1, 10) {
		t.Error("an ack of an old generation settled the new one's lease")
	}
}

func TestEvictVoids(t *testing.T) {
	r, s := newRecorder(t)
	s.attach("phone", 1, Policy{Prefetch: 8})
	s.lease(1, 10, 11)
	d := r.last()
	s.evict("phone", 1)
	d.Done(errors.New("closed"))
	r.expect(t, "10", "")
	if len(s.routes) != 0 {
		t.Error("the route is still known")
	}
	s.lease(1, 12) // which no core does
	r.expect(t, "", "")
}

func TestLeasesForADetachedConnectionAreSkipped(t *testing.T) {
	r, s := newRecorder(t)
	s.attach("phone", 1, Policy{Prefetch: 8})
	if !s.detach("phone", 1) || s.detach("phone", 1) {
		t.Error("a detach is news once")
	}
	s.lease(1, 10)
	r.expect(t, "", "")
	s.attach("phone", 3, Policy{Prefetch: 8})
	s.detach("phone", 2) // an old socket's close
	s.lease(3, 10)
	r.expect(t, "10", "")
}

func TestDetachmentsAreBounded(t *testing.T) {
	var d detachments
	for i := range 3 * maxDetachments {
		if !d.add(fmt.Sprint(i%(2*maxDetachments)), uint64(i+1)) {
			t.Fatalf("%d is no news", i)
		}
	}
	if len(d.generations) != maxDetachments || len(d.order) != maxDetachments {
		t.Errorf("%d generations, %d in order", len(d.generations), len(d.order))
	}
	if !d.covers("0", 2*maxDetachments+1) || d.covers("0", 2*maxDetachments+2) || d.covers(fmt.Sprint(maxDetachments), 1) {
		t.Error("the newest are not the ones that are kept")
	}
}
