package protocol

import "time"

// Due tells what there is to take now.
type Due struct {
	Fetch, Claims, Settlements, Extensions, Letters, Lookups, Answers, Cancels, Runs bool
}

// Due tells which of the Machine's calls would return something.
func (m *Machine) Due(now time.Time) Due {
	_, fetch := m.fetchBudget(now)
	return Due{
		Fetch:       fetch,
		Claims:      m.claims.isDue(now) || (len(m.soloQueue) > 0 && countClaims(&m.count) == 0),
		Settlements: m.settles.isDue(now),
		Extensions:  m.renewals.isDue(now),
		Letters:     m.letters.isDue(now),
		Lookups:     m.mayLookUp(now),
		Answers:     len(m.answers) > 0,
		Cancels:     len(m.cancels) > 0,
		Runs:        m.nextReady(now) >= 0,
	}
}

func (b *callQueue) isDue(now time.Time) bool {
	return (len(b.jobs) > 0 || b.refused.anyDue(now)) && !now.Before(b.retryAt)
}
