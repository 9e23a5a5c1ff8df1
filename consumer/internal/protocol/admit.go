package protocol

import "time"

// Fetched takes in what a fetch returned, also when that is nothing.
func (m *Machine) Fetched(now time.Time, as []Arrival) {
	m.readOut = m.halted() && m.asked == 0 && len(as) == 0
	m.opened(len(as))
	for i := range as {
		m.admit(now, arrived{
			Arrival: as[i], until: now.Add(m.cfg.AckWait), renew: now.Add(m.cfg.AckWait / 3),
		})
	}
}

func (m *Machine) admit(now time.Time, a arrived) {
	switch {
	case a.Foreign:
		m.answer(now, nil, &a, Answer{Kind: Ack, Outcome: Skipped})
	case m.progress.watermark.Covers(a.Delivery.At):
		m.answer(now, nil, &a, Answer{Kind: Ack, Outcome: Duplicate})
	case m.halted():
		m.answer(now, nil, &a, Answer{Kind: Nak, After: heldNak(a.Delivery.Arrivals), Outcome: GivenBack})
	default:
		if j := m.jobs[a.Key]; j != nil {
			m.join(now, j, a)
		} else {
			m.add(now, a)
		}
	}
}

// add begins a job.
func (m *Machine) add(now time.Time, a arrived) {
	if a.Order != "" && m.parked >= maxAhead {
		m.answer(now, nil, &a, Answer{Kind: Nak, After: heldNak(a.Delivery.Arrivals), Outcome: Held})
		return
	}
	j := &Job{key: a.Key, hash: a.Hash, order: a.Order, bury: a.Bury, copies: []arrived{a}, came: now, since: now}
	j.place = j.at().Sequence
	m.jobs[j.key] = j
	m.roster.add(j)
	m.count[waiting]++
	if j.order == "" {
		m.queue(now, j)
	} else {
		m.line(now, j)
	}
}

// join lets a copy wait for what becomes of the job. One whose handler never returns is not waited for.
func (m *Machine) join(now time.Time, j *Job, a arrived) {
	if j.stuck || m.parked >= maxAhead {
		m.answer(now, nil, &a, Answer{Kind: Nak, After: heldNak(a.Delivery.Arrivals), Outcome: Held})
		return
	}
	m.parked++
	j.copies = append(j.copies, a)
	m.overtake(now, j, &a)
}

func (m *Machine) queue(now time.Time, j *Job) {
	m.enter(now, j, queued)
	m.claims.push(j)
}
