package protocol

import (
	"slices"
	"time"
)

// deliveryCopy is an Arrival that is in flight in this process.
type deliveryCopy struct {
	Arrival
	ackWaitFrom time.Time // Config.AckWait later the bus redelivers it to anybody

	heldUntil    time.Time // until then the store answers Held because of this process itself
	mayHoldClaim bool      // the row may be claimed by this process
	cursorGone   bool
	uncounted    int // arrivals that this process knows to have been no attempts
}

// earlierAttempts are the arrivals before this one that may have been attempts.
func (c *deliveryCopy) earlierAttempts() int { return max(0, c.Delivery.Arrivals-1-c.uncounted) }

// memorySize is how much memory a delivery takes, more or less.
func (c *deliveryCopy) memorySize() int {
	n := 256 + len(c.Delivery.Event.Data)
	for name, values := range c.Delivery.Event.Headers {
		n += len(name)
		for _, v := range values {
			n += len(v)
		}
	}
	return n
}

// maybeForeign reports whether a delivery may be another process's by now.
func (m *Machine) maybeForeign(now time.Time, c *deliveryCopy) bool {
	return c.cursorGone || now.Sub(c.ackWaitFrom) >= m.cfg.AckWait || m.ownershipOver(now)
}

// admitCopy decides what becomes of a delivery: it is acked at once, given back, joins the job of
// its key, or begins one.
func (m *Machine) admitCopy(now time.Time, c deliveryCopy) {
	j := m.jobs.byKey[c.Key]
	switch {
	case c.Foreign:
		m.answerDelivery(now, nil, &c, Answer{Kind: Ack, Outcome: Skipped})
	case m.settled.watermark.Covers(c.Delivery.At) && !c.cursorGone:
		// A watermark also covers what the bus has dropped.
		m.answerDelivery(now, nil, &c, Answer{Kind: Ack, Outcome: Duplicate})
	case m.isHalted(), !c.cursorGone && j == nil && m.pace.wasTried(now, c.Key):
		m.nackCopy(now, &c, Answer{Outcome: GivenBack})
	case j != nil:
		m.joinJob(now, j, c)
	default:
		m.startJob(now, c)
	}
}

// startJob begins a job: its claim is queued at once without an order key, else when its key queue
// reaches it.
func (m *Machine) startJob(now time.Time, c deliveryCopy) {
	j := &Job{
		key: c.Key, hash: c.Hash, order: c.Order, deadLetterReason: c.DeadLetterReason,
		copies: []deliveryCopy{c}, createdAt: now, phaseSince: now,
	}
	j.orderSequence = j.position().Sequence
	m.jobs.add(j)
	if j.order == "" {
		m.queueClaim(now, j)
	} else {
		m.enqueueByKey(now, j)
	}
}

// joinJob lets a copy wait for what becomes of the job. It does not wait for a job whose handler
// never returns.
func (m *Machine) joinJob(now time.Time, j *Job, c deliveryCopy) {
	earlier := c.Delivery.At.Sequence < j.orderSequence
	switch {
	case j.stuck:
		m.nackCopy(now, &c, Answer{Outcome: Held})
	case earlier && j.phase == waiting && c.Order != j.order:
		// It must not wait for what may wait, in another process, for it: the later one makes way.
		m.nackUnclaimed(now, j)
		m.admitCopy(now, c)
	case m.replaceCopy(now, j, c):
	case (m.overLimits() || m.waitingCount() == m.cfg.MaxWaiting) && !earlier:
		m.refuseCopy(now, j, c)
	default:
		m.extraCopies++
		j.copies = append(j.copies, c)
		if earlier {
			m.moveForward(now, j)
		}
	}
}

// maxRefused is how many copies a job remembers that had no room beside it.
const maxRefused = 16

// refuseCopy nacks a copy that there is no room for beside the job of its event. It is expected
// back only if the job ends without settling the event.
func (m *Machine) refuseCopy(now time.Time, j *Job, c deliveryCopy) {
	m.nackCopy(now, &c, Answer{Outcome: Held, elsewhere: true})
	r := m.redeliveryOf(now, &c, &Answer{After: shortBackoff(c.Delivery.Arrivals)})
	r.arrival.Delivery = nil
	j.rememberRefused(r)
}

// rememberRefused remembers copies that had no room beside the job, as many as it may.
func (j *Job) rememberRefused(rs ...*pendingRedelivery) {
	j.refused = append(j.refused, rs[:min(len(rs), maxRefused-len(j.refused))]...)
}

// replaceCopy replaces an earlier delivery from the same place that waits too: one answer settles
// both.
func (m *Machine) replaceCopy(now time.Time, j *Job, c deliveryCopy) bool {
	i := 1 + slices.IndexFunc(j.copies[1:], func(o deliveryCopy) bool {
		return o.Delivery.At == c.Delivery.At && j.hasPayloadOf(&o) == j.hasPayloadOf(&c)
	})
	if i == 0 {
		return false
	}
	earlier := j.copies[i]
	j.copies[i] = c
	m.answerDelivery(now, j, &earlier, Answer{Outcome: Held, elsewhere: true})
	return true
}

// nackCopy nacks a delivery for which nothing was claimed.
func (m *Machine) nackCopy(now time.Time, c *deliveryCopy, ans Answer) {
	ans.Kind, ans.After, ans.heldUntil = Nak, shortBackoff(c.Delivery.Arrivals), c.heldUntil
	m.answerDelivery(now, nil, c, ans)
}
