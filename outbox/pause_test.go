package outbox_test

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPausedDrainerSendsNothingUntilAllHaveResumed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d, stop := run(t, w.store, w.bus, nil)
		d.PauseBy("group")
		d.PauseBy("group")
		d.PauseBy("operator")
		w.add(t, "1")
		d.Notify()
		time.Sleep(time.Hour)
		d.ResumeBy("group")
		time.Sleep(time.Minute)
		if at := w.bus.at("1"); !at.IsZero() {
			t.Error("published while paused")
		}
		if err := d.Healthy(); err != nil {
			t.Errorf("paused, it is not healthy: %v", err)
		}
		resumed := time.Now()
		d.ResumeBy("operator")
		synctest.Wait()
		time.Sleep(2 * time.Second)
		if at := w.bus.at("1"); at.IsZero() || at.Sub(resumed) > time.Second {
			t.Errorf("published %v after it was resumed", at.Sub(resumed))
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestPausedDrainerEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d, stop := run(t, w.store, w.bus, nil)
		d.PauseBy("group")
		w.add(t, "1")
		time.Sleep(time.Minute)
		if err := stop(); err != nil {
			t.Error(err)
		}
		if !w.bus.at("1").IsZero() {
			t.Error("published while paused")
		}
	})
}
