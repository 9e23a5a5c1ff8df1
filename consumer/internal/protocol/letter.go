package protocol

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// Letter is a dead letter to be stored.
type Letter struct {
	// ID is the same for every repeat of this letter.
	ID string
	// Reason as the store has it. Error and Stack are empty when the run was another process's.
	Reason, Error, Stack string
	Delivery             *bus.Delivery
	Key                  dedupe.Key
	Attempts, Crashes    int
	// Age since the first claim.
	Age time.Duration

	job *Job
}

// LetterID is injective in its parts: the group, and where the event lies that was given up.
func LetterID(group string, at bus.Position) string {
	return strings.Join([]string{
		url.PathEscape(group), url.PathEscape(at.Stream),
		strconv.FormatUint(at.Sequence, 10), strconv.FormatInt(at.Stored.UnixNano(), 10),
	}, "/")
}

// clearLetterError forgets that a letter could not be stored, once its event must have come again:
// somebody else has buried it.
func (m *Machine) clearLetterError(now time.Time) {
	if m.letters.err != nil && now.Sub(m.letters.failedAt) > 3*(m.cfg.Lease+m.cfg.AckWait) {
		m.letters.err = nil
	}
}

// queueLetter has the dead letter stored.
func (m *Machine) queueLetter(now time.Time, j *Job) {
	m.enterPhase(now, j, deadLettering)
	m.letters.push(j)
}

// Letters takes the dead letters to be stored now.
func (m *Machine) Letters(now time.Time) []*Letter {
	jobs := m.letters.takeBatch(now, nil)
	out := make([]*Letter, len(jobs))
	for i, j := range jobs {
		out[i] = &Letter{
			ID: j.ending.letter, Reason: j.ending.reason, Error: j.verdict.Error, Stack: j.verdict.Stack,
			Delivery: j.copies[0].Delivery, Key: j.key, Attempts: j.claim.Attempts, Crashes: j.claim.Crashes,
			Age: j.claim.Age + now.Sub(j.claimedAt), job: j,
		}
	}
	return out
}

// LetterPublished takes the bus's answer about a letter. What could not be stored stays dying in the store:
// the event is nacked, and its next copy is buried under the same letter id.
func (m *Machine) LetterPublished(now time.Time, l *Letter, err error) {
	j := l.job
	m.letters.recordCall(now, now, nil, err)
	switch {
	case j.superseded:
		m.lose(now, j)
	case err != nil:
		m.finishJob(now, j, Answer{Kind: Nak, After: heldNakDelay(j.arrivalCount()), Outcome: DeadLetterPending, heldUntil: m.latestLeaseEnd(now, j)})
	case j.keyRefused:
		m.finishJob(now, j, Answer{Kind: Ack, Outcome: Dead})
	default:
		m.settleClaim(now, j, claimEnding{outcome: dedupe.DeadLettered})
	}
}
