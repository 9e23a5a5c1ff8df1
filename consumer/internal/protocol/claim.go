package protocol

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// queueClaim has a job claimed in one of the next calls.
func (m *Machine) queueClaim(now time.Time, j *Job) {
	m.jobs.enterPhase(now, j, queued)
	m.claims.push(j)
}

// Claims takes what is to be claimed now.
func (m *Machine) Claims(now time.Time) Batch[dedupe.Request] {
	return newBatch(now, m.nextClaims(now), func(j *Job) dedupe.Request {
		if j.phase == queued {
			m.jobs.enterPhase(now, j, claiming)
			m.nonceCount++
			j.nonce = m.cfg.Owner + strconv.FormatUint(m.nonceCount, 36)
		}
		return dedupe.Request{Key: j.key, Nonce: j.nonce, Hash: j.hash, Lease: m.cfg.Lease, TTL: m.cfg.TTL}
	})
}

// nextClaims takes the jobs that are to be claimed now. A suspect that must be the only claim goes
// first, and alone.
func (m *Machine) nextClaims(now time.Time) []*Job {
	switch {
	case m.ownershipOver(now), m.pace.oneAtATime() && !m.mayProbe(now), m.quarantine.isActive(), len(m.quarantine.soloQueue) > 0 && !m.quarantine.mayClaimSolo():
		// Only what may hold a claim already.
		return m.claims.takeBatch(now, func(j *Job) bool { return j.phase == claiming })
	case m.quarantine.mayClaimSolo():
		solo := m.quarantine.soloQueue[:1:1]
		m.quarantine.soloQueue, m.probe = m.quarantine.soloQueue[1:], solo[0]
		return solo
	case m.pace.oneAtATime():
		return m.takeProbe(now)
	}
	return m.claims.takeBatch(now, nil)
}

// takeProbe takes the next event to be claimed, and what may hold a claim already.
func (m *Machine) takeProbe(now time.Time) []*Job {
	probe := (*Job)(nil)
	jobs := m.claims.takeBatch(now, func(j *Job) bool {
		if j.phase == queued && probe == nil {
			probe = j
		}
		return j == probe || j.phase == claiming
	})
	if probe != nil {
		m.probe = probe
	}
	return jobs
}

// mayProbe reports whether the next event may be claimed while there is a gap between starts. It
// does not wait until the store takes what became of the last one, which may be long.
func (m *Machine) mayProbe(now time.Time) bool {
	return m.pace.mayStart(now) && (m.probe == nil || !m.probe.mayStillRun())
}

// Claimed takes the answer to a batch of claims.
func (m *Machine) Claimed(now time.Time, b Batch[dedupe.Request], cs []dedupe.Claim, err error) {
	m.claims.recordCall(now, b.sent, b.jobs, err)
	if err != nil {
		for _, j := range b.jobs {
			j.uncertain = true
		}
		return
	}
	for i, j := range b.jobs {
		if err := cs[i].Err; err != nil && !errors.Is(err, dedupe.ErrKeyRefused) {
			m.retryClaim(now, j, err)
			continue
		}
		m.claims.clearRefusal(j)
		j.claim, j.claimedAt, j.leasedAt = cs[i], now, b.sent
		j.leaseExpires = b.sent.Add(min(cs[i].HeldFor, m.cfg.Lease))
		m.handleClaim(now, j, b.sent)
	}
}

// retryClaim repeats a request that the store did not answer. One that it had no room for holds
// nothing meanwhile.
func (m *Machine) retryClaim(now time.Time, j *Job, err error) {
	if errors.Is(err, dedupe.ErrFull) {
		m.jobs.enterPhase(now, j, queued)
		j.nonce = ""
		if m.isHalted() {
			m.nackUnclaimed(now, j)
			return
		}
	}
	m.claims.retryJob(now, j, err)
}

// handleClaim goes by what the store has answered.
func (m *Machine) handleClaim(now time.Time, j *Job, sent time.Time) {
	if j.claim.Err != nil {
		j.keyRefused = true
		j.ending.reason = fmt.Sprintf("refused: %v", j.claim.Err)
		j.ending.letter = LetterID(m.cfg.Group, j.position(), 0)
		m.queueLetter(now, j)
		return
	}
	switch j.claim.State {
	case dedupe.Done:
		m.finishJob(now, j, Answer{Kind: Ack, Outcome: m.doneBefore(j)})
	case dedupe.Dead:
		m.finishJob(now, j, Answer{Kind: Ack, Outcome: Duplicate})
	case dedupe.Reused:
		m.rekeyReused(now, j)
	case dedupe.DeadLettering:
		j.ending.reason, j.ending.letter, j.letterTried = j.claim.Reason, j.claim.Letter, true
		m.queueLetter(now, j)
	case dedupe.Fresh:
		m.acceptClaim(now, j)
	default:
		m.nackHeld(now, j, sent)
	}
}

// doneBefore is the outcome of an event that the store knows as done.
func (m *Machine) doneBefore(j *Job) Outcome {
	if m.cfg.HandledBeside != nil && m.cfg.HandledBeside(j.position()) {
		return Handled
	}
	return Duplicate
}

// acceptClaim decides what to do with a claim that this process holds.
func (m *Machine) acceptClaim(now time.Time, j *Job) {
	if m.cfg.ArrivalsAreAttempts {
		j.claim.Attempts = j.copies[0].earlierAttempts()
	}
	switch {
	case j.deadLetterReason != "":
		m.deadLetterJob(now, j, j.deadLetterReason, false)
	case j.claim.Crashes >= m.cfg.MaxCrashes:
		m.deadLetterJob(now, j, fmt.Sprintf("crashed: %d processes died, or lost their lease, while handling it", j.claim.Crashes), false)
	case m.isHalted(), m.ownershipOver(now):
		m.releaseClaim(now, j)
	case m.pace.oneAtATime() && j != m.probe, !m.keepInQuarantine(now, j):
		m.postponeJob(now, j)
	default:
		m.jobs.enterPhase(now, j, ready)
		m.ready = append(m.ready, j) // for Next
	}
}

// nackHeld nacks an event that another owner has, or that is not due yet after this process's own
// settlement. In the second case its redelivery is expected, and holds up what comes after it; also
// in the first where this process owns the topic.
func (m *Machine) nackHeld(now time.Time, j *Job, sent time.Time) {
	until, own := j.heldHereUntil(), j.uncertain || j.mayHoldClaim()
	if own { // a request that got no answer may still win the claim, for nobody
		until = now.Add(m.cfg.Lease)
	}
	m.finishJob(now, j, Answer{
		Kind: Nak, After: min(j.claim.HeldFor, shortBackoff(j.arrivalCount())), Outcome: Held,
		elsewhere: !m.waitsForOthers() && !sent.Before(until), heldUntil: until, mayHoldClaim: own,
	})
}

// nackUnclaimed gives back a job that holds no claim.
func (m *Machine) nackUnclaimed(now time.Time, j *Job) {
	m.finishJob(now, j, Answer{
		Kind: Nak, After: shortBackoff(j.arrivalCount()), Outcome: GivenBack, heldUntil: j.heldHereUntil(),
	})
}

// payloadKey is the key of an event whose id is another payload's.
func payloadKey(k dedupe.Key, hash []byte) dedupe.Key {
	k.Scope = hex.EncodeToString(hash)
	return k
}

// rekeyReused gives an event whose id was used for another payload a key of its own, under which it
// is dead-lettered.
func (m *Machine) rekeyReused(now time.Time, j *Job) {
	others := m.splitByPayload(j)
	delete(m.jobs.byKey, j.key)
	j.key = payloadKey(j.key, j.hash)
	j.deadLetterReason = ReasonReused
	if other := m.jobs.byKey[j.key]; other != nil {
		m.extraCopies -= len(j.copies) - 1
		m.removeJob(now, j)
		for _, c := range j.copies {
			m.joinJob(now, other, c)
		}
		other.rememberRefused(j.refused...)
		m.leaveKeyQueue(now, j)
	} else {
		m.jobs.byKey[j.key] = j
		m.queueClaim(now, j)
	}
	for _, c := range others {
		m.admitCopy(now, c)
	}
}
