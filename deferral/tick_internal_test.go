package deferral

import (
	"testing"
	"time"
)

// Once the lease of the group's summaries is lost no other one begins, also before the ticker has
// noticed: another process may make them.
func TestNothingIsDueOnceTheLeaseIsLost(t *testing.T) {
	t.Parallel()
	k := newTicker(&Tracker{config: Config{Interval: time.Hour}, index: newIndex()})
	k.move(5)
	if _, due := k.isDue(5); !due {
		t.Error("without a session: an event up to the horizon is not due")
	}
	lost := make(chan struct{})
	k.lost = lost
	if _, due := k.isDue(5); !due {
		t.Error("with the lease: an event up to the horizon is not due")
	}
	close(lost)
	if _, due := k.isDue(5); due {
		t.Error("an event is due, although the lease is lost")
	}
}
