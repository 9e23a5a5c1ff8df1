package consumer

import (
	"sync"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/flow"
)

// Observers returns an Observer that passes on everything to all of these, in this order, and to
// each of them what its optional interfaces are for. Those that are nil are left out. It returns
// nil if there are none, and a single one as it is.
func Observers(os ...Observer) Observer {
	found := newObservers(os...)
	switch len(found.deliveries) {
	case 0:
		return nil
	case 1:
		return found.deliveries[0]
	}
	return found
}

// observers are those that are told of each kind of thing.
type observers struct {
	deliveries []Observer
	answers    []AnswerObserver
	storeCalls []StoreObserver
	fetches    []FetchObserver
	watermarks []WatermarkObserver
	pauses     []PauseObserver
	limits     []LimitObserver
	capacities []CapacityObserver
	batches    []BatchObserver

	// takeTurns has the engines of partitions hold turn where one goroutine at a time may tell
	// observers. It is set before they begin.
	takeTurns bool
	turn      sync.Mutex

	panics panicLog
}

// newObservers looks into those that Observers returned, so that nothing is measured which none of
// them is told of.
func newObservers(os ...Observer) *observers {
	out := &observers{}
	for _, o := range os {
		if joined, ok := o.(*observers); ok {
			out.add(joined.deliveries...)
		} else if o != nil {
			out.add(o)
		}
	}
	return out
}

func (s *observers) add(os ...Observer) {
	for _, o := range os {
		s.deliveries = append(s.deliveries, o)
		s.answers = appendIf(s.answers, o)
		s.storeCalls = appendIf(s.storeCalls, o)
		s.fetches = appendIf(s.fetches, o)
		s.watermarks = appendIf(s.watermarks, o)
		s.pauses = appendIf(s.pauses, o)
		s.limits = appendIf(s.limits, o)
		s.capacities = appendIf(s.capacities, o)
		s.batches = appendIf(s.batches, o)
	}
}

// appendIf appends an observer that has the interface.
func appendIf[T any](to []T, o Observer) []T {
	if has, ok := o.(T); ok {
		return append(to, has)
	}
	return to
}

// Observe implements Observer.
func (s *observers) Observe(n Observation) {
	for _, o := range s.deliveries {
		s.protect(func() { o.Observe(n) })
	}
}

// ObserveAnswer implements AnswerObserver.
func (s *observers) ObserveAnswer(at bus.Position, err error) {
	for _, o := range s.answers {
		s.protect(func() { o.ObserveAnswer(at, err) })
	}
}

// ObserveStoreCall implements StoreObserver.
func (s *observers) ObserveStoreCall(c StoreCall) {
	for _, o := range s.storeCalls {
		s.protect(func() { o.ObserveStoreCall(c) })
	}
}

// ObserveFetch implements FetchObserver.
func (s *observers) ObserveFetch(f Fetch) {
	if s.takeTurns {
		s.turn.Lock()
		defer s.turn.Unlock()
	}
	for _, o := range s.fetches {
		s.protect(func() { o.ObserveFetch(f) })
	}
}

// ObserveWatermark implements WatermarkObserver.
func (s *observers) ObserveWatermark(at bus.Position) {
	if s.takeTurns {
		s.turn.Lock()
		defer s.turn.Unlock()
	}
	for _, o := range s.watermarks {
		s.protect(func() { o.ObserveWatermark(at) })
	}
}

// ObservePause implements PauseObserver.
func (s *observers) ObservePause(by []string) {
	for _, o := range s.pauses {
		s.protect(func() { o.ObservePause(by) })
	}
}

// ObserveBatch implements BatchObserver.
func (s *observers) ObserveBatch(r BatchRun) {
	for _, o := range s.batches {
		s.protect(func() { o.ObserveBatch(r) })
	}
}

// ObserveLimitWait implements LimitObserver.
func (s *observers) ObserveLimitWait(waited time.Duration, started bool) {
	for _, o := range s.limits {
		s.protect(func() { o.ObserveLimitWait(waited, started) })
	}
}

// limitClock is the time, if anybody is told how long events wait.
func (s *observers) limitClock() (now time.Time) {
	if len(s.limits) > 0 {
		now = time.Now()
	}
	return now
}

// observeLimitWait has it observed how long an event waited, or that it was refused.
func (s *observers) observeLimitWait(waited time.Duration, refused, started bool) {
	if refused || waited >= leastLimitWait {
		s.ObserveLimitWait(waited, started)
	}
}

// leastLimitWait is what counts as waiting: passing open gates takes time as well.
const leastLimitWait = time.Millisecond

// ObserveCapacity implements CapacityObserver.
func (s *observers) ObserveCapacity(gate int, c flow.Capacity) {
	for _, o := range s.capacities {
		s.protect(func() { o.ObserveCapacity(gate, c) })
	}
}
