package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
)

// soon is how long after a look at the consumer the next one is, when something is odd.
const soon = 500 * time.Millisecond

// watch is what the keeper remembers between its looks.
type watch struct {
	alarmed bool
	last    time.Time // of the last look
	heard   uint64    // deliveries by then
	since   time.Time // since when nothing was delivered though it was asked for
	strikes int       // looks in a row that found events pending meanwhile
	low     time.Time // since when max_ack_pending could be lowered
	refused error     // why it could not be changed the last time
	retry   time.Time // when that may be tried again
}

// keep looks after the consumer: when the link changed, when Fetch raised an alarm, and when
// nothing was delivered for a while though it was asked for.
func (s *Source) keep(ctx context.Context) {
	defer close(s.done)
	w := watch{since: time.Now()}
	timer := time.NewTimer(s.b.o.CheckInterval)
	defer timer.Stop()
	for s.ended() == nil {
		state := s.b.link.now()
		if state.closed != nil {
			s.finish(state.closed)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-state.changed:
			w.alarmed = true
			timer.Reset(0)
			wake(s.poke)
		case <-s.alarm:
			w.alarmed = true
			timer.Reset(max(0, soon-time.Since(w.last)))
		case <-timer.C:
			timer.Reset(s.look(ctx, &w))
		}
	}
}

// look asks the server about the consumer if there is reason to, and returns when to look again.
func (s *Source) look(ctx context.Context, w *watch) time.Duration {
	state := s.b.link.now()
	quiet := s.quiet(w)
	if !state.up || s.verified.Load() == state && !w.alarmed && !quiet && !s.limitDue(w) {
		return s.b.o.CheckInterval
	}
	w.last = time.Now()
	s.flight.looked()
	consumer, err := s.examine(ctx, state)
	switch {
	case errors.Is(err, bus.ErrConsumerLost):
		s.finish(err)
		return s.b.o.CheckInterval
	case err != nil:
		s.stalled.Store(&err)
		return soon
	}
	w.alarmed = false
	if s.verified.Swap(state) != state {
		s.release()
		wake(s.poke)
	}
	if s.adjustLimit(ctx, consumer, w) {
		s.stalled.Store(nil)
		return soon // More may be waiting by then.
	}
	return s.diagnose(consumer, w, quiet)
}

// limitDue reports whether it is time to see whether max_ack_pending has to be changed.
func (s *Source) limitDue(w *watch) bool {
	return time.Since(w.last) >= s.b.o.CheckInterval*9/10 && (s.flight.pending(s.want.ackPending.least) || s.unraised.Load() != nil)
}

// quiet reports whether nothing was delivered for a while though it was asked for.
func (s *Source) quiet(w *watch) bool {
	now := time.Now()
	asked := now.Sub(time.Unix(0, s.asked.Load())) < fetchWait+pullExpires+pullGrace
	heard := s.seen.count()
	if heard != w.heard {
		s.stalled.Store(nil)
	}
	if heard != w.heard || !asked {
		w.heard, w.since, w.strikes = heard, now, 0
		return false
	}
	return now.Sub(w.since) >= s.b.o.CheckInterval*9/10
}

// examine reads the consumer, and whether it is still the one that the Source was opened on.
func (s *Source) examine(ctx context.Context, state *linkState) (*jetstream.ConsumerInfo, error) {
	top := s.seen.top() // Before the stream is read, which may go on meanwhile.
	stream, consumer, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case incarnation(stream) != s.incarnation:
		return nil, fmt.Errorf("%w: stream %q was made again", bus.ErrConsumerLost, s.stream)
	case stream.State.LastSeq < top.sequence:
		return nil, fmt.Errorf("%w: stream %q ends at sequence %d and %d was delivered: it was restored from an older copy, or lost its end",
			bus.ErrConsumerLost, s.stream, stream.State.LastSeq, top.sequence)
	case !s.madeAt(consumer.Created):
		return nil, fmt.Errorf("%w: consumer %q on stream %q was made again", bus.ErrConsumerLost, s.consumer, s.stream)
	}
	if s.verified.Load() != state && top.sequence >= stream.State.FirstSeq {
		return consumer, s.compare(ctx, top)
	}
	return consumer, nil
}

// blur bounds by how much a consumer's time of creation differs, once its server has started again,
// from what was told before: on servers without exactCreation it is then that of its file, which
// was made in the same request.
const blur = 50 * time.Millisecond

// madeAt reports whether a consumer of this name, created then, is the one that the Source
// was opened on.
func (s *Source) madeAt(created time.Time) bool {
	late := created.Sub(s.created)
	return late == 0 || 0 < late && late < blur && older(s.b.nc.ConnectedServerVersion(), exactCreation)
}

// compare returns ErrConsumerLost if another event lies where one was delivered from. Where there
// is none, or none may be read, that proves nothing. An answer that did not come is an error: what
// is held is not sent until it is known whose it would be.
func (s *Source) compare(ctx context.Context, a arrival) error {
	m, err := s.b.message(ctx, bus.Position{Stream: s.incarnation, Sequence: a.sequence})
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil
	case err != nil:
		return err
	case m != nil && m.Time.UnixNano() != a.stored:
		return fmt.Errorf("%w: sequence %d of stream %q is another event now: the stream was restored", bus.ErrConsumerLost, a.sequence, s.stream)
	}
	return nil
}

// diagnose tells from the consumer why nothing comes, and what can be done here is done: the inbox
// is made again.
func (s *Source) diagnose(c *jetstream.ConsumerInfo, w *watch, quiet bool) time.Duration {
	dead := s.silent.Swap(false)
	var trouble error
	switch {
	case c.Paused:
		trouble = fmt.Errorf("consumer %q on stream %q is paused on the server for another %v", s.consumer, s.stream, c.PauseRemaining)
	case c.Config.MaxAckPending > 0 && c.NumAckPending >= c.Config.MaxAckPending:
		trouble = fmt.Errorf("consumer %q on stream %q has %d unsettled deliveries, its limit: none will come until some are settled",
			s.consumer, s.stream, c.NumAckPending)
	case quiet && c.NumPending > 0:
		if w.strikes++; w.strikes == 1 {
			return soon // It may have been published just now.
		}
		trouble = fmt.Errorf("%d events are pending for consumer %q on stream %q and none was delivered for %v",
			c.NumPending, s.consumer, s.stream, time.Since(w.since).Round(time.Second))
		dead = true
	default:
		w.strikes = 0
	}
	if dead {
		s.rebuild(trouble)
	}
	s.stalled.Store(some(trouble))
	return s.b.o.CheckInterval
}

func (s *Source) rebuild(why error) {
	if why == nil {
		why = errors.New("a pull was not answered")
	}
	s.b.log.Warn("subscribing the consumer's inbox again", "stream", s.stream, "consumer", s.consumer, "reason", why)
	if err := s.listen(); err != nil {
		s.b.log.Warn("could not subscribe the consumer's inbox; will try again", "consumer", s.consumer, "error", err)
	}
}

func some(err error) *error { //nolint:gocritic // for an atomic.Pointer
	if err == nil {
		return nil
	}
	return &err
}
