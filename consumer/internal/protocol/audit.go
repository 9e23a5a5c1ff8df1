package protocol

import (
	"fmt"
)

// Audit returns an error if the counts that the Machine keeps are not those of what it holds. It
// walks over all of it, and is for simulations and for whoever suspects a leak.
func (m *Machine) Audit() error {
	var count, suspects [phaseCount]int
	jobs, waitingCopies, held, exposed, orders := 0, 0, 0, 0, make(map[string]bool)
	m.jobs.each(func(j *Job) {
		jobs++
		count[j.phase]++
		if j.suspect {
			suspects[j.phase]++
		}
		if j.phase == waiting {
			waitingCopies++
		}
		waitingCopies += len(j.copies) - 1
		held += j.bytesHeld()
		if j.exposed {
			exposed++
		}
		orders[j.order] = true
	})
	switch {
	case jobs != len(m.jobs.byKey):
		return fmt.Errorf("protocol: %d jobs are held, %d are known by key", jobs, len(m.jobs.byKey))
	case count != m.jobs.count:
		return fmt.Errorf("protocol: by phase %v jobs are held, and counted as %v", count, m.jobs.count)
	case suspects != m.jobs.suspects:
		return fmt.Errorf("protocol: by phase %v suspects are held, and counted as %v", suspects, m.jobs.suspects)
	case waitingCopies != m.waitingCount():
		return fmt.Errorf("protocol: %d deliveries wait, and are counted as %d", waitingCopies, m.waitingCount())
	case held != m.heldBytes:
		return fmt.Errorf("protocol: %d bytes are held, and counted as %d", held, m.heldBytes)
	case exposed != m.exposed || exposed+count[starting] > m.cfg.MaxUnmarked:
		return fmt.Errorf("protocol: %d jobs have started and are not settled, counted as %d, and %d are starting, of at most %d",
			exposed, m.exposed, count[starting], m.cfg.MaxUnmarked)
	case count[ready] != len(m.ready):
		return fmt.Errorf("protocol: %d jobs are ready, and %d listed", count[ready], len(m.ready))
	}
	for order, q := range m.keyQueues {
		if !orders[order] && (q.head != nil || len(q.waiting) > 0) {
			return fmt.Errorf("protocol: the queue of key %q holds jobs that are gone", order)
		}
		if q.headMayStart() && !m.isHalted() {
			return fmt.Errorf("protocol: %s waits for its key %q, and for nothing else", q.waiting[0].key, order)
		}
	}
	return m.auditExpected()
}

// bytesHeld is how much memory the copies of a job take.
func (j *Job) bytesHeld() int {
	n := 0
	for i := range j.copies {
		if j.phase != leaked {
			n += j.copies[i].memorySize()
		}
	}
	return n
}

// auditExpected compares the redeliveries that are expected with what the key queues know of them.
func (m *Machine) auditExpected() error {
	kept, inQueues := 0, 0
	for at, r := range m.expected.byPlace {
		kept += r.size
		if at != placeOf(r.at) || r.over {
			return fmt.Errorf("protocol: sequence %d is expected as %v, and over is %v", r.at.Sequence, at, r.over)
		}
		if r.order != "" {
			inQueues++
		}
	}
	for _, q := range m.keyQueues {
		inQueues -= len(q.expected)
	}
	if kept != m.expected.keptBytes || inQueues != 0 {
		return fmt.Errorf("protocol: %d bytes are kept, and counted as %d; key queues expect %d too few", kept, m.expected.keptBytes, inQueues)
	}
	return nil
}
