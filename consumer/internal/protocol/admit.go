package protocol

import (
	"slices"
	"time"
)

// Fetched takes in what a fetch returned, also when that is nothing.
func (m *Machine) Fetched(now time.Time, as []Arrival) {
	m.nothingOutstanding = m.isHalted() && m.requested == 0 && len(as) == 0
	m.recordFetched(len(as))
	for i := range as {
		a := deliveryCopy{Arrival: as[i], ackDeadline: now.Add(m.cfg.AckWait), extendAt: now.Add(m.cfg.AckWait / 3)}
		m.sizes.addSize(a.memorySize())
		m.heldBytes += a.memorySize()
		m.takeRedelivery(&a)
		m.admitCopy(now, a)
		m.advanceKeyQueue(now, a.Order)
	}
}

func (m *Machine) admitCopy(now time.Time, a deliveryCopy) {
	switch {
	case a.Foreign:
		m.answerDelivery(now, nil, &a, Answer{Kind: Ack, Outcome: Skipped})
	case m.progress.watermark.Covers(a.Delivery.At) && !a.cursorGone: // the bus passes what it has dropped
		m.answerDelivery(now, nil, &a, Answer{Kind: Ack, Outcome: Duplicate})
	case m.isHalted(), !a.cursorGone && m.jobs[a.Key] == nil && m.wasTried(now, a.Key):
		m.nackArrival(now, &a, Answer{Outcome: GivenBack})
	default:
		if j := m.jobs[a.Key]; j != nil {
			m.joinJob(now, j, a)
		} else {
			m.startJob(now, a)
		}
	}
}

// nackArrival nacks what came and was never asked for in the store.
func (m *Machine) nackArrival(now time.Time, a *deliveryCopy, ans Answer) {
	ans.Kind, ans.After, ans.heldUntil = Nak, heldNakDelay(a.Delivery.Arrivals), a.heldUntil
	m.answerDelivery(now, nil, a, ans)
}

// startJob begins a job.
func (m *Machine) startJob(now time.Time, a deliveryCopy) {
	j := &Job{key: a.Key, hash: a.Hash, order: a.Order, deadLetterReason: a.DeadLetterReason, copies: []deliveryCopy{a}, createdAt: now, phaseSince: now}
	j.orderSequence = j.position().Sequence
	m.jobs[j.key] = j
	m.roster.push(j)
	m.count[waiting]++
	if j.order == "" {
		m.queueClaim(now, j)
	} else {
		m.enqueueByKey(now, j)
	}
}

// joinJob lets a copy wait for what becomes of the job. One whose handler never returns is
// not waited for.
func (m *Machine) joinJob(now time.Time, j *Job, a deliveryCopy) {
	earlier := a.Delivery.At.Sequence < j.orderSequence
	switch {
	case j.stuck, earlier && j.phase == waiting && a.Order != j.order:
		m.nackArrival(now, &a, Answer{Outcome: Held}) // it must not wait for what may wait, in another process, for it
	case m.replaceCopy(now, j, a):
	case (m.overLimits() || m.waitingCount == m.cfg.MaxWaiting) && !earlier:
		m.nackArrival(now, &a, Answer{Outcome: Held, elsewhere: true}) // the event itself is here
	default:
		m.waitingCount++
		j.copies = append(j.copies, a)
		if earlier {
			m.moveForward(now, j)
		}
	}
}

// replaceCopy puts a delivery in the stead of an earlier one from the same place that waits too: one
// answer settles both.
func (m *Machine) replaceCopy(now time.Time, j *Job, a deliveryCopy) bool {
	i := 1 + slices.IndexFunc(j.copies[1:], func(c deliveryCopy) bool {
		return c.Delivery.At == a.Delivery.At && j.hasPayloadOf(&c) == j.hasPayloadOf(&a)
	})
	if i == 0 {
		return false
	}
	earlier := j.copies[i]
	j.copies[i] = a
	m.answerDelivery(now, j, &earlier, Answer{Outcome: Held, elsewhere: true})
	return true
}

func (m *Machine) queueClaim(now time.Time, j *Job) {
	m.enterPhase(now, j, queued)
	m.claims.push(j)
}
