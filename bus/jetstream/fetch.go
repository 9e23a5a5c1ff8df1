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
	var got batch
	var timeout <-chan time.Time
	for waiting := true; ; {
		if err := s.ended(); err != nil {
			return nil, err
		}
		var failed error
		if waiting && len(got.deliveries) == 0 && ctx.Err() == nil {
			failed = s.ask(limit)
		}
		s.drain(&got, share(limit))
		switch {
		case len(got.deliveries) > 0:
			s.arrived(&got)
			return got.deliveries, nil
		case failed != nil || limit <= 0 && s.pulling.owed == 0:
			return nil, failed
		case !waiting && ctx.Err() == nil:
			return nil, s.b.link.now().err(s.b.nc)
		case !waiting:
			return nil, nil
		}
		if timeout == nil {
			timeout = time.After(patience(limit))
		}
		select {
		case m := <-s.in:
			s.take(m, &got)
		case <-s.poke:
		case <-timeout:
			waiting = false
		case <-ctx.Done():
			waiting = false
		}
	}
}

// patience is how long Fetch waits: while it may, or, to read out, until nothing can come any more.
func patience(limit int) time.Duration {
	if limit <= 0 {
		return pullExpires + pullGrace
	}
	return fetchWait
}

// batch is what one Fetch returns.
type batch struct {
	deliveries []*bus.Delivery
	settlers   []settler // allocated together
	highest    arrival
	again      int // of the deliveries, those that had come before
}

func (s *Source) arrived(got *batch) {
	s.flight.add(got.deliveries)
	s.seen.add(len(got.deliveries), got.again, got.highest)
	if s.stalled.Load() != nil {
		s.stalled.Store(nil)
	}
}

// pipelined is the least limit of which Fetch hands out no more than a share at once.
const pipelined = 64

// share is how much of what has arrived a call hands out. The caller works on it while the server
// answers the next pull: that takes something that is owed still when the next call comes, for no
// call may ask for more than its limit beyond what it hands out.
func share(limit int) int {
	if limit < pipelined {
		return inboxSize
	}
	return limit / 2
}

// drain takes what has arrived, up to most.
func (s *Source) drain(got *batch, most int) {
	for n := min(len(s.in), most); n > 0; n-- {
		s.take(<-s.in, got)
	}
}

// take reads a message: a delivery, or a status of a pull.
func (s *Source) take(m *nats.Msg, got *batch) {
	if m.Reply == "" {
		s.status(m)
		return
	}
	a, ok := parseReply(m.Reply)
	if !ok {
		s.b.log.Warn("dropped a message that is no delivery", "subject", m.Subject, "reply", m.Reply, "consumer", s.consumer)
		return
	}
	s.pulling.came()
	if s.recent.reused(a) {
		s.finish(fmt.Errorf("%w: sequence %d of stream %q is another event now: the stream was restored", bus.ErrConsumerLost, a.sequence, s.stream))
		return
	}
	if a.sequence > got.highest.sequence {
		got.highest = a
	}
	if a.delivered > 1 {
		got.again++
	}
	got.deliveries = append(got.deliveries, s.delivery(m, a, got))
}

func (s *Source) delivery(m *nats.Msg, a arrival, got *batch) *bus.Delivery {
	at := bus.Position{Stream: s.incarnation, Sequence: a.sequence, Stored: a.storedTime()}
	what := serverMessage(m, s.schedules)
	event, malformed := decode(m, s.stream, a, s.b.o.Envelopes)
	t := got.settler(s, m.Reply, a.sequence)
	d := bus.NewDelivery(event, int(min(a.delivered, 1<<30)), at, t) // #nosec G115 -- bounded
	d.Malformed = malformed
	if what != "" {
		d.ServerMessage, d.Malformed = what, nil
		t.keeps = what == messageSchedule && s.deletes
	}
	return d
}

const settlersAtOnce = 64

func (got *batch) settler(s *Source, reply string, sequence uint64) *settler {
	if len(got.settlers) == cap(got.settlers) {
		got.settlers = make([]settler, 0, settlersAtOnce)
	}
	got.settlers = append(got.settlers, settler{s: s, reply: reply, sequence: sequence})
	return &got.settlers[len(got.settlers)-1]
}

// recent remembers what time the latest sequences were stored at. After a stream was restored from
// an older copy, a sequence comes again with another one.
type recent [1024]struct {
	sequence uint64
	stored   int64
}

func (r *recent) reused(a arrival) bool {
	slot := &r[a.sequence%uint64(len(r))]
	if slot.sequence == a.sequence && slot.stored != a.stored {
		return true
	}
	slot.sequence, slot.stored = a.sequence, a.stored
	return false
}
