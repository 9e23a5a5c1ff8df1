package protocol

import (
	"errors"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// Tick looks after every deadline. It is to be called about once in TickEvery.
func (m *Machine) Tick(now time.Time) {
	m.noticeFreeze(now)
	m.quarantine.noteIsolation(now)
	m.jobs.each(func(j *Job) {
		m.watchWait(now, j)
		m.watchRun(now, j)
		m.watchLease(now, j)
		m.watchDeliveries(now, j)
	})
	m.clearLetterError(now)
	m.sweepQueues()
	m.pace.recoverWhenIdle(now, len(m.jobs.byKey) == 0 && len(m.expected.byPlace) == 0)
}

// TickEvery is how often Tick is to be called now. Its caller also looks at Fetch.
func (m *Machine) TickEvery() time.Duration {
	every := m.cfg.TickEvery()
	if m.pace.oneAtATime() {
		every = min(every, m.pace.gap/2)
	}
	if m.waitingCount() > 0 { // there may be nothing else to wake a scan
		every = min(every, scanInterval)
	}
	return every
}

// noticeFreeze notes when the process goes on after it stood still for so long that leases may be
// over. Then the store is asked first whose they are.
func (m *Machine) noticeFreeze(now time.Time) {
	if now.Sub(m.lastTick) >= m.cfg.Lease/3 {
		m.lastThaw = now
	}
	m.lastTick = now
}

// watchWait gives back what has been waiting for too long, or without a lease.
func (m *Machine) watchWait(now time.Time, j *Job) {
	late := now.Sub(j.phaseSince) >= m.cfg.maxSlotWait() || (j.phase != queued && !now.Before(j.leaseExpires))
	switch {
	case j.phase == queued && late && (!j.claimedAt.IsZero() || m.quarantine.isActive() || m.pace.oneAtATime()):
		m.nackUnclaimed(now, j) // it waits for suspects, or its turn
	case j.phase == ready && late && !j.suspect:
		m.releaseClaim(now, j)
	case j.phase == starting && late:
		m.cancelJob(j, ErrNotStarted)
	}
}

// watchRun cancels a run at its limit, and when its lease is over.
func (m *Machine) watchRun(now time.Time, j *Job) {
	if j.phase != running || j.stuck {
		return
	}
	ran := now.Sub(j.phaseSince)
	switch {
	case ran >= m.cfg.RunLimit && j.limitReachedAt.IsZero():
		j.limitReachedAt = now
		m.cancelJob(j, ErrRunLimit)
	case ran >= m.cfg.RunLimit && now.Sub(j.limitReachedAt) >= m.cfg.returnGrace():
		m.countOverrun(now, j)
	case !now.Before(j.leaseExpires) && now.Sub(m.lastThaw) >= m.cfg.freezeGrace():
		m.cancelJob(j, ErrLeaseLost)
	}
}

// watchLease renews a claim when a third of its lease is over. That of a success is renewed until
// it is marked: a mark that hangs must not let others take the event.
func (m *Machine) watchLease(now time.Time, j *Job) {
	succeeded := j.phase == settling && j.ending.outcome == dedupe.Succeeded
	held := j.phase == ready || j.phase == starting || j.phase == deadLettering || succeeded ||
		(j.phase == running && !m.cfg.isTransactional())
	if held && !j.renewing && !j.superseded && !j.stuck && !j.keyRefused && now.Sub(j.leasedAt) >= m.cfg.Lease/3 {
		j.renewing = true
		m.renewals.push(j)
	}
}

// watchDeliveries extends the ack wait of a delivery when a third of it is over.
func (m *Machine) watchDeliveries(now time.Time, j *Job) {
	if j.superseded || j.stuck || j.phase == ended {
		return
	}
	for i := range j.copies {
		c := &j.copies[i]
		if now.Sub(c.ackWaitFrom) >= m.cfg.AckWait/3 && !m.maybeForeign(now, c) {
			c.ackWaitFrom = now
			m.answerDelivery(now, j, c, Answer{Kind: ExtendAckWait, Outcome: Working})
		}
	}
}

// Renewals takes the claims that are to be renewed now.
func (m *Machine) Renewals(now time.Time) Batch[dedupe.Claim] {
	m.renewals.removeJobs(func(j *Job) bool {
		hasEnded := j.phase == ended
		j.renewing = j.renewing && !hasEnded
		return hasEnded
	})
	return newBatch(now, m.renewals.takeBatch(now, nil), func(j *Job) dedupe.Claim { return j.claim })
}

// Renewed takes the answer to a batch of renewals.
func (m *Machine) Renewed(now time.Time, b Batch[dedupe.Claim], errs []error, err error) {
	m.renewals.recordCall(now, b.sent, b.jobs, err)
	if err != nil {
		for _, j := range b.jobs {
			j.uncertain = true
		}
		return
	}
	for i, j := range b.jobs {
		superseded := errors.Is(errs[i], dedupe.ErrSuperseded)
		mine := j.phase != ended && b.Items[i].Nonce == j.nonce
		if mine && j.phase != settling && errs[i] != nil && !superseded {
			m.renewals.retryJob(now, j, errs[i])
			continue
		}
		j.renewing = false
		m.renewals.clearRefusal(j)
		switch {
		case !mine:
		case j.phase == settling && errs[i] != nil:
			// Once a settlement was sent, the store may refuse because it has settled the claim.
			j.superseded = j.superseded || (superseded && !j.settlementSent)
		case superseded:
			m.stopSuperseded(now, j)
		default:
			j.leasedAt, j.leaseExpires = b.sent, b.sent.Add(m.cfg.Lease)
		}
	}
}

// stopSuperseded stops a job whose claim is another's.
func (m *Machine) stopSuperseded(now time.Time, j *Job) {
	switch {
	case j.phase == ready:
		m.removeReady(j)
		m.disownJob(now, j, Lost)
	case !j.stuck:
		j.superseded = true
		m.cancelJob(j, ErrLeaseLost)
	}
}
