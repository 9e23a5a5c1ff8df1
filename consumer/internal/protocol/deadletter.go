package protocol

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

const (
	// ReasonReused begins the reason of a dead letter whose id was used before for another payload.
	ReasonReused = "id_reused: the id was used before for an event with another payload"
	// ReasonDropped begins the reason of a dead letter whose event the bus will not redeliver.
	ReasonDropped = "dropped: the bus lost the event while it waited to be delivered again (limits, purge, expiry, or a cursor that was moved)"
)

// deadLetterJob gives an event up. First its row says so; then the letter is stored.
func (m *Machine) deadLetterJob(now time.Time, j *Job, reason string, counted bool) {
	m.settleClaim(now, j, claimEnding{
		outcome: dedupe.GivenUp, reason: dedupe.TrimReason(reason, dedupe.MaxReason), letter: LetterID(m.cfg.Group, j.position(), j.claim.Token), counted: counted,
	})
}

// queueLetter has the dead letter stored.
func (m *Machine) queueLetter(now time.Time, j *Job) {
	m.jobs.enterPhase(now, j, deadLettering)
	m.letters.push(j)
}

// Letter is a dead letter to be stored.
type Letter struct {
	// ID is the same for every repeat of this letter.
	ID string
	// Tried is set if it may have been published before, here or by another process, whatever the
	// bus has answered.
	Tried bool
	// Rowless is set if the store has no row of the event that would say so: it refuses the key, or
	// keeps marks alone. Then Age counts from the last claim.
	Rowless bool
	// Reason is as the store has it. Error and Stack are empty if the run was another process's.
	Reason, Error, Stack string
	Delivery             *bus.Delivery
	Key                  dedupe.Key
	Again                string       // as in Arrival
	Original             bus.Position // as in Arrival
	Attempts, Crashes    int
	// Age is the time since the first claim.
	Age time.Duration
	// History is the last failed attempts, the earliest first.
	History []dedupe.Attempt

	job *Job
}

// LetterID is injective in its parts: the group, the position of the event, and the fencing token
// of the claim that gave it up. An event that is given up again after a redrive, by the same
// delivery, has another letter: the bus may still know the id of the one that was deleted.
func LetterID(group string, at bus.Position, token uint64) string {
	return strings.Join([]string{
		url.PathEscape(group), url.PathEscape(at.Stream),
		strconv.FormatUint(at.Sequence, 10), strconv.FormatInt(at.Stored.UnixNano(), 10), strconv.FormatUint(token, 10),
	}, "/")
}

// Letters takes the dead letters to be stored now.
func (m *Machine) Letters(now time.Time) []*Letter {
	jobs := m.letters.takeBatch(now, nil)
	out := make([]*Letter, len(jobs))
	for i, j := range jobs {
		rowless := j.keyRefused || m.cfg.ArrivalsAreAttempts
		out[i] = &Letter{
			ID: j.ending.letter, Tried: j.letterTried || rowless, Rowless: rowless, Reason: j.ending.reason, Error: j.verdict.Error, Stack: j.verdict.Stack,
			Delivery: j.copies[0].Delivery, Key: j.key, Again: j.copies[0].Again, Original: j.copies[0].Original, Attempts: j.claim.Attempts, Crashes: j.claim.Crashes,
			Age: j.claim.Age + now.Sub(j.claimedAt), History: j.claim.History, job: j,
		}
	}
	return out
}

// LetterPublished takes the bus's answer about a letter. An event whose letter could not be stored
// stays in the store as dead-lettering and is nacked; its next copy is dead-lettered under the same
// letter id.
func (m *Machine) LetterPublished(now time.Time, l *Letter, err error) {
	j := l.job
	m.letters.recordCall(now, now, nil, err)
	switch {
	case j.superseded:
		m.disownJob(now, j, Lost)
	case err != nil:
		m.finishJob(now, j, Answer{
			Kind: Nak, After: shortBackoff(j.arrivalCount()), Outcome: DeadLetterPending, heldUntil: m.latestLeaseEnd(now, j),
		})
	case j.keyRefused:
		m.finishJob(now, j, Answer{Kind: Ack, Outcome: Dead})
	default:
		m.settleClaim(now, j, claimEnding{outcome: dedupe.DeadLettered})
	}
}

// clearLetterError forgets that a letter could not be stored once its event must have been
// redelivered: another process has dead-lettered it.
func (m *Machine) clearLetterError(now time.Time) {
	if m.letters.err != nil && now.Sub(m.letters.failedAt) > 3*(m.cfg.Lease+m.cfg.AckWait) {
		m.letters.err = nil
	}
}
