package guard

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestMeterLetsABurstPassAndThenItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMeter("plugins.a.limits.publishRate", time.Now)
		passes := func() (n int) {
			for m.Take() == nil && n < 1000 {
				n++
			}
			return n
		}
		if got := passes(); got != 1000 {
			t.Errorf("without a limit %d pass", got)
		}
		m.Change(10, 30)
		if got := passes(); got != 30 {
			t.Errorf("%d at once", got)
		}
		if got := m.Take().Error(); got != "plugins.a.limits.publishRate: too many messages from this channel, try again in 1 s" {
			t.Errorf("refused with %q", got)
		}
		if after := m.Take().After; after != 100*time.Millisecond {
			t.Errorf("again after %v", after)
		}
		time.Sleep(time.Second)
		if got := passes(); got != 10 {
			t.Errorf("%d in a second", got)
		}
		time.Sleep(time.Hour)
		if got := passes(); got != 30 {
			t.Errorf("%d after a pause", got)
		}
		m.Change(100, 30)
		if after := m.Take().After; after != 10*time.Millisecond {
			t.Errorf("at a higher rate again after %v", after)
		}
		m.Change(0, 0)
		if got := passes(); got != 1000 {
			t.Errorf("%d without a limit again", got)
		}
	})
	var none *Meter
	if none.Take() != nil {
		t.Error("no meter refuses")
	}
}
