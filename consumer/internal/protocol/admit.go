package protocol

import (
	"slices"
	"time"
)

// Fetched takes in what a fetch returned, also when that is nothing.
func (m *Machine) Fetched(now time.Time, as []Arrival) {
	m.readOut = m.halted() && m.asked == 0 && len(as) == 0
	m.opened(len(as))
	for i := range as {
		a := arrived{Arrival: as[i], until: now.Add(m.cfg.AckWait), renew: now.Add(m.cfg.AckWait / 3)}
		m.sizes.add(a.size())
		m.held += a.size()
		m.redelivered(&a)
		m.admit(now, a)
		m.passOn(now, a.Order)
	}
}

func (m *Machine) admit(now time.Time, a arrived) {
	switch {
	case a.Foreign:
		m.answer(now, nil, &a, Answer{Kind: Ack, Outcome: Skipped})
	case m.progress.watermark.Covers(a.Delivery.At) && !a.orphan: // the bus passes what it has dropped
		m.answer(now, nil, &a, Answer{Kind: Ack, Outcome: Duplicate})
	case m.halted(), !a.orphan && m.jobs[a.Key] == nil && m.wasTried(now, a.Key):
		m.refuse(now, &a, Answer{Outcome: GivenBack})
	default:
		if j := m.jobs[a.Key]; j != nil {
			m.join(now, j, a)
		} else {
			m.add(now, a)
		}
	}
}

// refuse nacks what came and was never asked for in the store.
func (m *Machine) refuse(now time.Time, a *arrived, ans Answer) {
	ans.Kind, ans.After, ans.heldUntil = Nak, heldNak(a.Delivery.Arrivals), a.heldUntil
	m.answer(now, nil, a, ans)
}

// add begins a job.
func (m *Machine) add(now time.Time, a arrived) {
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

// join lets a copy wait for what becomes of the job. One whose handler never returns is
// not waited for.
func (m *Machine) join(now time.Time, j *Job, a arrived) {
	earlier := a.Delivery.At.Sequence < j.place
	switch {
	case j.stuck, earlier && j.phase == waiting && a.Order != j.order:
		m.refuse(now, &a, Answer{Outcome: Held}) // it must not wait for what may wait, in another process, for it
	case m.replace(now, j, a):
	case (m.crowded() || m.parked == m.cfg.MaxWaiting) && !earlier:
		m.refuse(now, &a, Answer{Outcome: Held, elsewhere: true}) // the event itself is here
	default:
		m.parked++
		j.copies = append(j.copies, a)
		if earlier {
			m.overtake(now, j)
		}
	}
}

// replace puts a delivery in the stead of an earlier one from the same place that waits too: one
// answer settles both.
func (m *Machine) replace(now time.Time, j *Job, a arrived) bool {
	i := 1 + slices.IndexFunc(j.copies[1:], func(c arrived) bool {
		return c.Delivery.At == a.Delivery.At && j.same(&c) == j.same(&a)
	})
	if i == 0 {
		return false
	}
	earlier := j.copies[i]
	j.copies[i] = a
	m.answer(now, j, &earlier, Answer{Outcome: Held, elsewhere: true})
	return true
}

func (m *Machine) queue(now time.Time, j *Job) {
	m.enter(now, j, queued)
	m.claims.push(j)
}
