package protocol

import (
	"errors"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// Tick looks after every deadline. It is called each Config.TickEvery, more or less.
func (m *Machine) Tick(now time.Time) {
	m.noticeFreeze(now)
	m.watchSuspects(now)
	m.roster.each(func(j *Job) {
		m.watchWait(now, j)
		m.watchRun(now, j)
		m.watchLease(now, j)
		m.watchDeliveries(now, j)
	})
	m.forgiveLetters(now)
	m.sweepQueues()
	m.pace.recover(now, len(m.jobs) == 0 && len(m.expected.byPlace) == 0)
}

// watchWait gives back what has been waiting for too long, or without a lease.
func (m *Machine) watchWait(now time.Time, j *Job) {
	late := now.Sub(j.since) >= m.cfg.maxWait() || (j.phase != queued && !now.Before(j.expires))
	switch {
	case j.phase == queued && late && (!j.claimed.IsZero() || m.quarantined() || m.pace.spaced()): // it waits for suspects, or its turn
		m.handBack(now, j)
	case j.phase == ready && late && !j.suspect:
		m.giveBack(now, j)
	case j.phase == starting && late:
		m.cancel(j, ErrHalted)
	}
}

func (m *Machine) watchRun(now time.Time, j *Job) {
	if j.phase != running || j.stuck {
		return
	}
	ran := now.Sub(j.since)
	switch {
	case ran >= m.cfg.RunLimit && j.limited.IsZero():
		j.limited = now
		m.cancel(j, ErrRunLimit)
	case ran >= m.cfg.RunLimit && now.Sub(j.limited) >= m.cfg.grace():
		m.overran(now, j)
	case !now.Before(j.expires) && now.Sub(m.thawed) >= m.cfg.lapse():
		m.cancel(j, ErrLeaseLost)
	}
}

// noticeFreeze notes when the process goes on after it stood still for so long that leases may be
// over: then the store is asked first whose they are.
func (m *Machine) noticeFreeze(now time.Time) {
	if now.Sub(m.ticked) >= m.cfg.Lease/3 {
		m.thawed = now
	}
	m.ticked = now
}

// watchLease renews a claim when a third of its lease is over.
func (m *Machine) watchLease(now time.Time, j *Job) {
	succeeded := j.phase == settling && j.ending.outcome == dedupe.Succeeded // a mark that hangs must not let others take the event
	held := j.phase == ready || j.phase == starting || j.phase == burying || succeeded ||
		(j.phase == running && !m.cfg.transactional())
	if held && !j.extending && !j.lost && !j.stuck && !j.rowless && now.Sub(j.leased) >= m.cfg.Lease/3 {
		j.extending = true
		m.extends.push(j)
	}
}

// watchDeliveries asks for more time when a third of it is over.
func (m *Machine) watchDeliveries(now time.Time, j *Job) {
	if j.lost || j.stuck || j.phase == ended {
		return
	}
	for i := range j.copies {
		a := &j.copies[i]
		if now.Before(a.renew) || a.stale(now) {
			continue
		}
		a.until, a.renew = now.Add(m.cfg.AckWait), now.Add(m.cfg.AckWait/3)
		m.answer(now, j, a, Answer{Kind: Progress, Outcome: Working})
	}
}

// Extensions takes the claims that are to be renewed now.
func (m *Machine) Extensions(now time.Time) Batch[dedupe.Claim] {
	m.extends.remove(func(j *Job) bool {
		gone := j.phase == ended
		j.extending = j.extending && !gone
		return gone
	})
	return newBatch(now, m.extends.take(now, nil), func(j *Job) dedupe.Claim { return j.claim })
}

// Extended takes the answer to a batch of renewals.
func (m *Machine) Extended(now time.Time, b Batch[dedupe.Claim], errs []error, err error) {
	m.extends.answered(now, b.sent, b.jobs, err)
	if err != nil {
		return
	}
	for i, j := range b.jobs {
		superseded := errors.Is(errs[i], dedupe.ErrSuperseded)
		mine := j.phase != ended && b.Items[i].Nonce == j.nonce
		if mine && j.phase != settling && errs[i] != nil && !superseded {
			m.extends.refuse(now, j, errs[i])
			continue
		}
		j.extending = false
		m.extends.accept(j)
		switch {
		case !mine:
		case j.phase == settling && errs[i] != nil:
			j.lost = j.lost || (superseded && !j.asked) // once it was asked to settle, the store may refuse for having done so
		case superseded:
			m.superseded(now, j)
		default:
			j.leased, j.expires = b.sent, b.sent.Add(m.cfg.Lease)
		}
	}
}

// superseded stops a job whose claim is another's.
func (m *Machine) superseded(now time.Time, j *Job) {
	switch {
	case j.phase == ready:
		m.unready(j)
		m.lose(now, j)
	case !j.stuck:
		j.lost = true
		m.cancel(j, ErrLeaseLost)
	}
}
