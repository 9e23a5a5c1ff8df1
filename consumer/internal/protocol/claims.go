package protocol

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// Claims takes what is to be claimed now.
func (m *Machine) Claims(now time.Time) Batch[dedupe.Request] {
	return newBatch(now, m.claimable(now), func(j *Job) dedupe.Request {
		if j.phase == queued {
			m.enter(now, j, claiming)
			j.nonce = m.nonce()
		}
		return dedupe.Request{Key: j.key, Nonce: j.nonce, Hash: j.hash, Lease: m.cfg.Lease, TTL: m.cfg.TTL}
	})
}

// claimable takes the jobs whose turn it is. A suspect that must be the only claim goes
// first, and alone.
func (m *Machine) claimable(now time.Time) []*Job {
	switch {
	case m.quarantined(), len(m.solos) > 0 && inHand(&m.count) > 0, m.pace.spaced() && !m.mayProbe(now):
		return m.claims.take(now, func(j *Job) bool { return j.phase == claiming }) // what may hold a claim already
	case len(m.solos) > 0:
		solo := m.solos[:1:1]
		m.solos = m.solos[1:]
		m.probe = solo[0]
		return solo
	case m.pace.spaced():
		return m.takeProbe(now)
	}
	return m.claims.take(now, nil)
}

// Claimed takes the answer to a batch of claims.
func (m *Machine) Claimed(now time.Time, b Batch[dedupe.Request], cs []dedupe.Claim, err error) {
	m.claims.answered(now, b.sent, b.jobs, err)
	if err != nil {
		for _, j := range b.jobs {
			j.uncertain = true
		}
		return
	}
	for i, j := range b.jobs {
		if err := cs[i].Err; err != nil && !errors.Is(err, dedupe.ErrKeyRefused) {
			m.repeatClaim(now, j, err)
			continue
		}
		m.claims.accept(j)
		j.claim, j.claimed, j.leased = cs[i], now, b.sent
		j.expires = b.sent.Add(min(cs[i].HeldFor, m.cfg.Lease))
		m.judge(now, j, b.sent)
	}
}

// repeatClaim asks again for a claim that the store did not answer. One that it had no room for
// holds nothing meanwhile.
func (m *Machine) repeatClaim(now time.Time, j *Job, err error) {
	if errors.Is(err, dedupe.ErrFull) {
		m.enter(now, j, queued)
		j.nonce = ""
		if m.halted() {
			m.handBack(now, j)
			return
		}
	}
	m.claims.refuse(now, j, err)
}

func (m *Machine) judge(now time.Time, j *Job, sent time.Time) {
	if j.claim.Err != nil {
		j.rowless = true
		j.ending.reason = fmt.Sprintf("refused: %v", j.claim.Err)
		j.ending.letter = LetterID(m.cfg.Group, j.at())
		m.bury(now, j)
		return
	}
	switch j.claim.State {
	case dedupe.Done, dedupe.Dead:
		m.conclude(now, j, Answer{Kind: Ack, Outcome: Duplicate})
	case dedupe.Reused:
		m.rekey(now, j)
	case dedupe.DeadLettering:
		j.ending.reason, j.ending.letter = j.claim.Reason, j.claim.Letter
		m.bury(now, j)
	case dedupe.Fresh:
		m.won(now, j)
	default:
		m.heldElsewhere(now, j, sent)
	}
}

// heldElsewhere nacks what another owner has, or what is not due yet after this process's own
// settlement: that is expected back, and holds up what comes after it.
func (m *Machine) heldElsewhere(now time.Time, j *Job, sent time.Time) {
	until, own := j.heldUntil(), j.uncertain || j.ownClaim()
	if own { // a request that got no answer may still win the claim, for nobody
		until = now.Add(m.cfg.Lease)
	}
	m.conclude(now, j, Answer{
		Kind: Nak, After: min(j.claim.HeldFor, heldNak(j.arrivals())), Outcome: Held,
		elsewhere: !sent.Before(until), heldUntil: until, ownClaim: own,
	})
}

// won decides what to do with a claim.
func (m *Machine) won(now time.Time, j *Job) {
	if m.cfg.ArrivalsAreAttempts {
		j.claim.Attempts = j.copies[0].attempts()
	}
	switch {
	case j.bury != "":
		m.giveUp(now, j, j.bury, false)
	case j.claim.Crashes >= m.cfg.MaxCrashes:
		m.giveUp(now, j, fmt.Sprintf("crashed: %d processes died, or lost their lease, while handling it", j.claim.Crashes), false)
	case m.halted():
		m.giveBack(now, j)
	case m.pace.spaced() && j != m.probe:
		m.postpone(now, j)
	case !m.quarantine(now, j):
		m.postpone(now, j)
	default:
		m.enter(now, j, ready)
		m.ready = append(m.ready, j)
	}
}

// payloadKey is the key of an event whose id is another payload's.
func payloadKey(k dedupe.Key, hash []byte) dedupe.Key {
	k.Payload = hex.EncodeToString(hash)
	return k
}

// rekey gives an id that was reused for another payload a key of its own, under which the
// payload is buried.
func (m *Machine) rekey(now time.Time, j *Job) {
	others := m.split(j)
	delete(m.jobs, j.key)
	j.key = payloadKey(j.key, j.hash)
	j.bury = ReasonReused
	if other := m.jobs[j.key]; other != nil {
		m.parked -= len(j.copies) - 1
		m.drop(j)
		for _, a := range j.copies {
			m.join(now, other, a)
		}
		m.pass(now, j)
	} else {
		m.jobs[j.key] = j
		m.queue(now, j)
	}
	for _, a := range others {
		m.admit(now, a)
	}
}
