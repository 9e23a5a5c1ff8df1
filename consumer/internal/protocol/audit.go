package protocol

import "fmt"

// Audit reports whether the counts that the Machine keeps are those of what it holds; it costs a walk
// over all of it. It is for whoever suspects a leak, and for simulations.
func (m *Machine) Audit() error {
	var count, suspects [phaseCount]int
	jobs, parked, held, exposed, orders := 0, 0, 0, 0, make(map[string]bool)
	m.roster.each(func(j *Job) {
		jobs++
		count[j.phase]++
		if j.suspect {
			suspects[j.phase]++
		}
		if j.phase == waiting {
			parked++
		}
		parked += len(j.copies) - 1
		held += j.bytesHeld()
		if j.exposed {
			exposed++
		}
		orders[j.order] = true
	})
	switch {
	case jobs != len(m.jobs):
		return fmt.Errorf("protocol: %d jobs are held, %d are known by key", jobs, len(m.jobs))
	case count != m.count:
		return fmt.Errorf("protocol: by phase %v jobs are held, and counted as %v", count, m.count)
	case suspects != m.suspects:
		return fmt.Errorf("protocol: by phase %v suspects are held, and counted as %v", suspects, m.suspects)
	case parked != m.waitingCount:
		return fmt.Errorf("protocol: %d deliveries wait, and are counted as %d", parked, m.waitingCount)
	case held != m.heldBytes:
		return fmt.Errorf("protocol: %d bytes are held, and counted as %d", held, m.heldBytes)
	case exposed != m.exposed || exposed+count[starting] > m.cfg.MaxUnmarked:
		return fmt.Errorf("protocol: %d jobs have started and are not settled, counted as %d, and %d are starting, of at most %d",
			exposed, m.exposed, count[starting], m.cfg.MaxUnmarked)
	case count[ready] != len(m.ready):
		return fmt.Errorf("protocol: %d jobs are ready, and %d listed", count[ready], len(m.ready))
	}
	for order, l := range m.keyQueues {
		if !orders[order] && (l.head != nil || len(l.waiting) > 0) {
			return fmt.Errorf("protocol: the lane of key %q holds jobs that are gone", order)
		}
		if l.headMayStart() && !m.isHalted() {
			return fmt.Errorf("protocol: %s waits for its key %q, and for nothing else", l.waiting[0].key, order)
		}
	}
	return m.auditExpected()
}

// bytesHeld is what the copies of a job take of the room for events.
func (j *Job) bytesHeld() int {
	n := 0
	for i := range j.copies {
		if j.phase != leaked {
			n += j.copies[i].memorySize()
		}
	}
	return n
}

// auditExpected holds what is expected back against what the lanes know of it.
func (m *Machine) auditExpected() error {
	kept, inLanes := 0, 0
	for at, r := range m.expected.byPlace {
		kept += r.size
		if at != placeOf(r.at) || r.over {
			return fmt.Errorf("protocol: sequence %d is expected as %v, and over is %v", r.at.Sequence, at, r.over)
		}
		if r.order != "" {
			inLanes++
		}
	}
	for _, l := range m.keyQueues {
		inLanes -= len(l.expected)
	}
	if kept != m.expected.keptBytes || inLanes != 0 {
		return fmt.Errorf("protocol: %d bytes are kept, and counted as %d; lanes expect %d too few", kept, m.expected.keptBytes, inLanes)
	}
	return nil
}
