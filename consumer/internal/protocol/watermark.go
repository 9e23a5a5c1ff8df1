package protocol

import (
	"cmp"
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
)

// settledEvents are the group's watermark, and the events above it that this process saw settled.
// The watermark follows the bus's floor, which no process can compute from its share of the
// deliveries.
type settledEvents struct {
	watermark bus.Position
	stream    string
	seen      []eventPlace
}

// maxSettledEvents bounds what is remembered until the watermark advances. Beyond it every other
// event is forgotten, which only makes the watermark a little lower.
const maxSettledEvents = 4096

// recordSettled remembers an event that was acked here until its mark lies below the watermark.
func (p *settledEvents) recordSettled(at bus.Position) {
	if at.Stream != p.stream {
		p.stream, p.seen = at.Stream, p.seen[:0]
	}
	if len(p.seen) == maxSettledEvents {
		for i := range maxSettledEvents / 2 {
			p.seen[i] = p.seen[2*i+1]
		}
		p.seen = p.seen[:maxSettledEvents/2]
	}
	p.seen = append(p.seen, placeOf(at))
}

// SetAckWait replaces the ack wait: somebody has changed it on the bus, where it also holds for
// what is delivered already. Those deliveries are extended in time for the new one; a delivery that
// is past it may be another process's.
func (m *Machine) SetAckWait(d time.Duration) {
	if d > 0 {
		m.cfg.AckWait = d
	}
}

// SetBusTime notes what time it is for the bus, by whose clock events are stored, at a moment of
// this process's clock.
func (m *Machine) SetBusTime(now, bus time.Time) {
	if !bus.IsZero() {
		m.busClockOffset = bus.Sub(now)
	}
}

// busTime converts a moment of this process's clock to the bus's. Until the offset is known, both
// are taken for the same.
func (m *Machine) busTime(t time.Time) time.Time { return t.Add(m.busClockOffset) }

// SetFloor takes the bus's floor: everything at or below it is settled by the bus's count, and not
// redelivered. What was nacked here and settled by nobody is lost there, because a stream was
// restored or somebody moved the cursor. A floor that was asked for before the cursor was rebuilt
// says nothing of the new one.
func (m *Machine) SetFloor(asked time.Time, stream string, floor uint64) {
	if m.isOfFormerCursor(asked) {
		return
	}
	for _, r := range m.expected.byPlace {
		if r.stream == stream && r.at.Sequence <= floor && !r.belowFloor {
			r.belowFloor, r.lookAt = true, asked
		}
	}
}

// SettledUpTo takes the bus's floor, and returns the events at or below it that this process
// saw settled and that lie above the watermark, by sequence. The last of them is the watermark
// to store: an event whose sequence and stored time are known. If there is none, there is
// nothing to store. A floor that was asked for before the cursor was rebuilt says nothing of the
// new one, also where that reads the same incarnation.
func (m *Machine) SettledUpTo(asked time.Time, stream string, floor uint64) []bus.Position {
	p := &m.settled
	if stream != p.stream || m.isOfFormerCursor(asked) {
		return nil
	}
	above := uint64(0)
	if p.watermark.Stream == stream {
		above = p.watermark.Sequence
	}
	var settled []bus.Position
	for _, s := range p.seen {
		if s.sequence > above && s.sequence <= floor {
			settled = append(settled, bus.Position{Stream: stream, Sequence: s.sequence, Stored: time.Unix(0, s.stored).UTC()})
		}
	}
	slices.SortStableFunc(settled, func(a, b bus.Position) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return settled
}

// isOfFormerCursor reports whether what was asked for then was answered, or may have been, for the
// cursor before the present one.
func (m *Machine) isOfFormerCursor(asked time.Time) bool {
	rebuilt := m.expected.cursorRebuilt
	return !rebuilt.IsZero() && !asked.After(rebuilt)
}

// WatermarkStored notes that the store has kept a watermark, which follows from a floor that was
// asked for then.
func (m *Machine) WatermarkStored(asked time.Time, w bus.Position) {
	if m.isOfFormerCursor(asked) {
		return
	}
	p := &m.settled
	p.watermark = w
	p.seen = slices.DeleteFunc(p.seen, func(s eventPlace) bool { return p.stream == w.Stream && s.sequence <= w.Sequence })
}

// SetWatermark replaces Config.Watermark after the group's cursor was rebuilt, which redelivers
// what is not settled. What has a claim is finished, but its deliveries were the old cursor's and
// are not settled any more: if the stream came back from an older copy, another event may lie at
// their sequence by now, and an ack would settle that one. What only waits is let go and expected
// back, so that it is handled in the order in which the new cursor delivers it.
func (m *Machine) SetWatermark(now time.Time, w bus.Position) {
	m.settled = settledEvents{watermark: w}
	for i := range m.answers {
		m.answers[i].Kind = None
	}
	m.jobs.each(func(j *Job) {
		for i := range j.copies {
			j.copies[i].cursorGone = true
		}
		if j.phase == waiting || (j.phase == queued && j.nonce == "") {
			m.nackUnclaimed(now, j)
		}
	})
	m.sweepQueues()
	m.expected.expectFromNewCursor(now, w)
}
