package protocol

import "fmt"

// Audit tells whether the counts that the Machine keeps are those of what it holds; it costs a walk over all of it. It is for whoever
// suspects a leak, and for simulations.
func (m *Machine) Audit() error {
	var count, suspects [phases]int
	jobs, parked, orders := 0, 0, make(map[string]bool)
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
		orders[j.order] = true
	})
	switch {
	case jobs != len(m.jobs):
		return fmt.Errorf("protocol: %d jobs are held, %d are known by key", jobs, len(m.jobs))
	case count != m.count:
		return fmt.Errorf("protocol: by phase %v jobs are held, and counted as %v", count, m.count)
	case suspects != m.suspects:
		return fmt.Errorf("protocol: by phase %v suspects are held, and counted as %v", suspects, m.suspects)
	case parked != m.parked:
		return fmt.Errorf("protocol: %d deliveries wait, and are counted as %d", parked, m.parked)
	case count[ready] != len(m.ready):
		return fmt.Errorf("protocol: %d jobs are ready, and %d listed", count[ready], len(m.ready))
	}
	for order, l := range m.lanes {
		if !orders[order] && (l.head != nil || len(l.waiting) > 0) {
			return fmt.Errorf("protocol: the lane of key %q holds jobs that are gone", order)
		}
	}
	return nil
}
