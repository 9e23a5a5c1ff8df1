package protocol

import "time"

// Due tells what there is to take now.
type Due struct {
	Fetch, Claims, Settlements, Extensions, Letters, Lookups, Answers, Cancels, Runs bool
}

// Due tells which of the Machine's calls would return something.
func (m *Machine) Due(now time.Time) Due {
	_, fetch := m.budget(now)
	return Due{
		Fetch:       fetch,
		Claims:      m.claims.due(now) || (len(m.solos) > 0 && inHand(&m.count) == 0),
		Settlements: m.settles.due(now),
		Extensions:  m.extends.due(now),
		Letters:     m.letters.due(now),
		Lookups:     m.mayLook(now),
		Answers:     len(m.answers) > 0,
		Cancels:     len(m.cancels) > 0,
		Runs:        m.turn(now) >= 0,
	}
}

func (b *backlog) due(now time.Time) bool {
	return (len(b.jobs) > 0 || b.refused.due(now)) && !now.Before(b.notBefore)
}
