package outbox

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Stats of a drainer: what it has now, and what it has done since it was made.
type Stats struct {
	// Partitions that it leases; Ending are those of them that it is about to give back.
	Partitions, Ending int
	// Rows in memory, and Bytes, their size. InFlight of them are being published, Unsettled are
	// and wait to be marked.
	Rows, Bytes, InFlight, Unsettled int
	// Held is how many topics wait because their events cannot be stored.
	Held int
	// Sent is how many rows were marked as sent; Duplicates how many events the bus had already.
	Sent, Duplicates uint64
	// Refused is how many attempts were counted; Dead how many rows were given up.
	Refused, Dead uint64
	// Fenced is how many rows could not be marked: they were another's by then, or changed. Lost is
	// how many were on their way when their partition was lost. They are published again, unless
	// that was only the mark of a row since dropped.
	Fenced, Lost uint64
	// Outages is how often the bus stopped answering.
	Outages uint64
	// Down is for how long it has not answered. Zero: it does.
	Down time.Duration
}

// Stats tells what the drainer has and has done. It may be called at any time.
func (d *Drainer) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, now := &d.scheduler, time.Now()
	s := b.stats
	s.Partitions, s.Ending, s.Rows, s.Bytes, s.InFlight, s.Unsettled = len(b.partitions), b.endingCount, len(b.rows), b.bytes, b.inFlight, b.unmarkedCount
	s.Held = len(b.heldTopics())
	if b.outage.failures > 0 {
		s.Down = now.Sub(b.outage.since)
	}
	return s
}

// heldTopics are those whose last event could not be stored.
func (b *scheduler) heldTopics() []string { return slices.Sorted(maps.Keys(b.topicHolds)) }

// Healthy says why events may not be published: nil while all is well. Dead rows are no reason;
// see Admin.Count.
func (d *Drainer) Healthy() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	b, now := &d.scheduler, time.Now()
	var errs []error
	switch d.phase {
	case notStarted:
		errs = append(errs, errors.New("outbox: the drainer does not run: call Run"))
	case hasEnded:
		errs = append(errs, errors.New("outbox: the drainer has ended"))
	case inProgress:
	}
	for _, call := range slices.Sorted(maps.Keys(d.failingCalls)) {
		errs = append(errs, fmt.Errorf("outbox: the store does not answer (%s): %w", call, d.failingCalls[call]))
	}
	if b.outage.failures > 0 {
		errs = append(errs, fmt.Errorf("outbox: the bus does not answer for %v: %w", now.Sub(b.outage.since).Round(time.Millisecond), b.outage.err))
	}
	if held := b.heldTopics(); len(held) > 0 {
		errs = append(errs, fmt.Errorf("outbox: events of %d topics cannot be stored, among them %q: %w",
			len(held), strings.Join(held[:min(3, len(held))], ", "), b.topicHolds[held[0]].err))
	}
	return errors.Join(errs...)
}
