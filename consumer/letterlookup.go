package consumer

import (
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
)

// letterClockSlack is by how much the clock of a worker, or the bus's at another time, may differ.
const letterClockSlack = 15 * time.Minute

// letterPatience is how long letters wait for the topic to be read. Then they are published all the
// same: that a letter is stored counts for more than that it is stored once.
const letterPatience = time.Hour

// lookUpTried returns the ids, of the letters that were tried before and of their parts, under
// which the topic has events. A bus recognises a repeat by its id for a while only, two minutes by
// default; a letter of which nobody knows whether it was stored may be published again much later,
// also by another process that took its event over. Nothing is looked up, and a letter may be
// stored twice, if the bus is no Reader, or cannot read the topic.
func (p *letterPublisher) lookUpTried(b *letterBatch, now time.Time) (stored map[string]bool, err error) {
	reader, ok := p.bus.(bus.Reader)
	wanted, since := b.triedIDs(now)
	if !ok || p.unreadable || len(wanted) == 0 {
		return nil, nil //nolint:nilnil // nothing is known to be stored
	}
	stored, err = p.findLetters(reader, wanted, since)
	switch {
	case err == nil:
		p.unreadSince = time.Time{}
		return stored, nil
	case errors.Is(err, errors.ErrUnsupported):
		p.unreadable = true
	case p.unreadSince.IsZero():
		p.unreadSince = now
		return stored, err
	case now.Sub(p.unreadSince) < letterPatience:
		return stored, err
	}
	p.log.Warn("the dead-letter topic cannot be read, so letters are published again without looking whether they are stored, and may be stored twice",
		"topic", p.topic, "error", err)
	return stored, nil
}

// findLetters reads the topic from a time on, and returns which of the ids it has.
func (p *letterPublisher) findLetters(reader bus.Reader, wanted map[string]bool, since time.Time) (found map[string]bool, err error) {
	ctx, cancel := p.callContext()
	defer cancel()
	found = make(map[string]bool)
	for s, err := range reader.Read(ctx, p.topic, bus.Range{From: bus.From{Time: since}, HeadersOnly: true}) {
		if _, dropped := errors.AsType[*bus.DroppedError](err); dropped {
			continue
		}
		if err != nil {
			return found, fmt.Errorf("look whether a letter is stored already on %q: %w", p.topic, err)
		}
		if wanted[s.Event.ID] {
			found[s.Event.ID] = true
		}
		if len(found) == len(wanted) {
			break
		}
	}
	return found, nil
}

// triedIDs returns the ids of the letters that were tried before and of their parts, and since when
// the first of them may be stored.
func (b *letterBatch) triedIDs(now time.Time) (ids map[string]bool, since time.Time) {
	ids = make(map[string]bool)
	for i, l := range b.letters {
		if !l.Tried {
			continue
		}
		ids[b.heads[i].ID] = true
		for _, part := range b.parts[i] {
			ids[part.ID] = true
		}
		if at := earliestLetter(l, now); since.IsZero() || at.Before(since) {
			since = at
		}
	}
	return ids, since
}

// earliestLetter is when a letter may have been stored at the earliest: after its event was, and,
// where a row says when it was first claimed, after that.
func earliestLetter(l *protocol.Letter, now time.Time) time.Time {
	at := l.Delivery.At.Stored
	if claimed := now.Add(-l.Age); !l.Rowless && claimed.After(at) {
		at = claimed
	}
	return at.Add(-letterClockSlack)
}
