package jetstream

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
)

// fetchWait is how long Fetch waits for a first delivery.
const fetchWait = time.Second

// Fetch implements bus.Source. A limit above 4,096 counts as that.
func (s *Source) Fetch(ctx context.Context, limit int) ([]*bus.Delivery, error) {
	var got fetchedBatch
	var timeout <-chan time.Time
	for waiting := true; ; {
		if err := s.endError(); err != nil {
			return nil, err
		}
		var failed error
		if waiting && len(got.deliveries) == 0 && ctx.Err() == nil {
			failed = s.requestDeliveries(limit)
		}
		for n := min(len(s.incoming), handOutLimit(limit)); n > 0; n-- {
			s.readMessage(<-s.incoming, &got)
		}
		switch {
		case len(got.deliveries) > 0:
			s.recordFetched(&got)
			return got.deliveries, nil
		case failed != nil || limit <= 0 && s.pulling.requested == 0:
			return nil, failed
		case !waiting && ctx.Err() == nil:
			return nil, s.b.link.sendError(s.b.link.current())
		case !waiting:
			return nil, nil
		}
		if timeout == nil {
			wait := fetchWait
			if limit <= 0 {
				wait = pullExpires + pullGrace // to read out, until nothing can come any more
			}
			timeout = time.After(wait)
		}
		select {
		case m := <-s.incoming:
			s.readMessage(m, &got)
		case <-s.wakeFetch:
		case <-timeout:
			waiting = false
		case <-ctx.Done():
			waiting = false
		}
	}
}

// fetchedBatch is what one Fetch returns.
type fetchedBatch struct {
	deliveries   []*bus.Delivery
	answerers    []deliveryAnswerer // allocated together
	highest      deliveryInfo
	redeliveries uint64 // of the deliveries, those that had come before
}

func (s *Source) recordFetched(got *fetchedBatch) {
	s.inFlight.add(got.deliveries)
	s.arrived.Add(uint64(len(got.deliveries)))
	s.redelivered.Add(got.redeliveries)
	if highest := got.highest; highest.sequence > s.highest.Load().sequence {
		s.highest.Store(&highest)
	}
	s.stalled.Store(nil)
}

// pipelinedLimit is the least limit of which Fetch hands out no more than a share at once.
const pipelinedLimit = 64

// handOutLimit is how much of what has arrived a call hands out. Half of the limit is, and the rest
// stays requested: so the next call finds events on their way, although it may not request more
// than its own limit.
func handOutLimit(limit int) int {
	if limit < pipelinedLimit {
		return inboxSize
	}
	return limit / 2
}

// readMessage reads a message: a delivery, or a status of a pull.
func (s *Source) readMessage(m *nats.Msg, got *fetchedBatch) {
	if m.Reply == "" {
		s.handlePullStatus(m)
		return
	}
	a, ok := parseAckSubject(m.Reply)
	if !ok {
		s.b.log.Warn("dropped a message that is no delivery", "subject", m.Subject, "reply", m.Reply, "consumer", s.consumer)
		return
	}
	s.pulling.countDelivery()
	if s.endError() != nil || !s.countDelivery(m.Reply) {
		return // It arrives again from a cursor that is made or rewound.
	}
	if s.recent.wasReused(a) {
		s.endWith(fmt.Errorf("%w: sequence %d of stream %q is another event now: the stream was restored", bus.ErrConsumerLost, a.sequence, s.stream))
		return
	}
	if a.sequence > got.highest.sequence {
		got.highest = a
	}
	if a.deliveryCount > 1 {
		got.redeliveries++
	}
	got.deliveries = append(got.deliveries, s.newDelivery(m, a, got))
}

func (s *Source) newDelivery(m *nats.Msg, a deliveryInfo, got *fetchedBatch) *bus.Delivery {
	at := bus.Position{Stream: s.incarnation, Sequence: a.sequence, Stored: time.Unix(0, a.stored).UTC()}
	what := serverMessage(m, s.mayHaveSchedules)
	event, malformed := decodeMessage(m, s.stream, a, s.b.o.Envelopes)
	t := got.newAnswerer(s, m.Reply, a.sequence)
	d := bus.NewDelivery(event, int(min(a.deliveryCount, 1<<30)), at, t) // #nosec G115 -- bounded
	d.Malformed = malformed
	if what != "" {
		d.ServerMessage, d.Malformed = what, nil
		t.mustNotAck = what == messageSchedule && s.spec.deletesAcked
	}
	return d
}

const answerersAtOnce = 64

func (got *fetchedBatch) newAnswerer(s *Source, reply string, sequence uint64) *deliveryAnswerer {
	if len(got.answerers) == cap(got.answerers) {
		got.answerers = make([]deliveryAnswerer, 0, answerersAtOnce)
	}
	got.answerers = append(got.answerers, deliveryAnswerer{s: s, reply: reply, sequence: sequence})
	return &got.answerers[len(got.answerers)-1]
}

// recentSequences remembers what time the latest sequences were stored at. After a stream was
// restored from an older copy, a sequence is delivered with another time.
type recentSequences [1024]struct {
	sequence uint64
	stored   int64
}

func (r *recentSequences) wasReused(a deliveryInfo) bool {
	slot := &r[a.sequence%uint64(len(r))]
	if slot.sequence == a.sequence && slot.stored != a.stored {
		return true
	}
	slot.sequence, slot.stored = a.sequence, a.stored
	return false
}
