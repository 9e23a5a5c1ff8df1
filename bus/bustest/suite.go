package bustest

import (
	"slices"
	"testing"

	"github.com/onceish/onceish/bus"
)

// promise is a case of the suite.
type promise struct {
	name   string
	stream Stream // Topics default to "orders.>"
	keeps  func(t *testing.T, f *fixture)
	unless bool // the harness cannot do what the case needs
}

// Run tests all promises of package bus that the harness can put to the test.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if h.New == nil {
		t.Fatal("bustest: Harness.New is nil: tell how to make a bus")
	}
	h = h.withDefaults()
	finds, reads, deletes, lists, schedules := false, false, false, false, false
	h.Run(t, func(t *testing.T) {
		b := h.New(t, Stream{Topics: []string{"orders.>"}})
		_, finds = b.(bus.Finder)
		_, reads = b.(bus.Reader)
		_, deletes = b.(bus.Deleter)
		_, lists = b.(bus.CursorLister)
		_, schedules = b.(bus.Scheduler)
		schedules = schedules && !h.NoSchedules
	})
	for _, p := range slices.Concat(
		publishing(), deduplication(), roundTrip(), control(), topics(), groups(), settling(), fetching(), bound(),
		floors(h), finding(h, finds), starting(), losing(h), restoring(h, finds), reading(h, reads), deleting(h, deletes, finds), closing(), loads(),
		rewinding(h), scheduling(h, schedules), partitioning(h, finds, reads, lists),
	) {
		if p.unless {
			continue
		}
		if p.stream.Topics == nil {
			p.stream.Topics = []string{"orders.>"}
		}
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			h.Run(t, func(t *testing.T) {
				t.Helper()
				p.keeps(t, &fixture{h: h, bus: h.New(t, p.stream)})
			})
		})
	}
}
