package consumer

import "testing"

// nothingMore is an observer of deliveries alone.
type nothingMore struct{}

func (nothingMore) Observe(Observation) {}

// TestJoinedObserversAreToldNothingThatNoneOfThemWants: what Observers returns has every method,
// and makes nothing be measured by that.
func TestJoinedObserversAreToldNothingThatNoneOfThemWants(t *testing.T) {
	t.Parallel()
	o := newObservers(Observers(nothingMore{}, Observers(nothingMore{}, nothingMore{})))
	if len(o.deliveries) != 3 {
		t.Errorf("%d observers of 3", len(o.deliveries))
	}
	if n := len(o.answers) + len(o.storeCalls) + len(o.fetches) + len(o.watermarks) + len(o.pauses) + len(o.limits) + len(o.capacities); n > 0 {
		t.Errorf("%d observers of what none of them wants", n)
	}
}
