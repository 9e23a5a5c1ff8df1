package jetstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/natsserver"
)

// recheckDelay is how long after a look at the consumer the next one is, when something is odd.
const recheckDelay = 500 * time.Millisecond

// consumerMonitor holds what is remembered between two checks of the consumer.
type consumerMonitor struct {
	alarmed       bool
	lastCheck     time.Time // of the last look
	deliveries    uint64    // deliveries by then
	quietSince    time.Time // since when nothing was delivered though it was asked for
	emptyChecks   int       // looks in a row that found events pending meanwhile
	lowSince      time.Time // since when max_ack_pending could be lowered
	changeRefused error     // why it could not be changed the last time
	retryAt       time.Time // when that may be tried again
}

// monitorConsumer looks after the consumer: when the link changed, when Fetch raised an alarm, and
// when nothing was delivered for a while though it was asked for.
func (s *Source) monitorConsumer(ctx context.Context) {
	defer close(s.done)
	w := consumerMonitor{quietSince: time.Now()}
	timer := time.NewTimer(s.b.o.CheckInterval)
	defer timer.Stop()
	for s.endError() == nil {
		state := s.b.link.current()
		if state.closed != nil {
			s.endWith(state.closed)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-state.changed:
			w.alarmed = true
			timer.Reset(0)
			notifyOnce(s.wakeFetch)
		case <-s.wakeMonitor:
			w.alarmed = true
			timer.Reset(max(0, recheckDelay-time.Since(w.lastCheck)))
		case <-timer.C:
			timer.Reset(s.checkConsumer(ctx, &w))
		}
	}
}

// checkConsumer asks the server about the consumer if there is reason to, and returns when
// to look again.
func (s *Source) checkConsumer(ctx context.Context, w *consumerMonitor) time.Duration {
	state := s.b.link.current()
	quiet := s.noDeliveries(w)
	if !state.up || s.verified.Load() == state && !w.alarmed && !quiet && !s.limitCheckDue(w) {
		return s.b.o.CheckInterval
	}
	w.lastCheck = time.Now()
	s.inFlight.resetDelayed()
	consumer, err := s.verifyConsumer(ctx, state)
	switch {
	case errors.Is(err, bus.ErrConsumerLost):
		s.endWith(err)
		return s.b.o.CheckInterval
	case err != nil:
		s.stalled.Store(&err)
		return recheckDelay
	}
	w.alarmed = false
	if s.verified.Swap(state) != state {
		s.sendWaiting()
		notifyOnce(s.wakeFetch)
	}
	if s.adjustLimit(ctx, consumer, w) {
		s.stalled.Store(nil)
		return recheckDelay // More may be waiting by then.
	}
	return s.diagnoseSilence(consumer, w, quiet)
}

// limitCheckDue reports whether it is time to see whether max_ack_pending has to be changed.
func (s *Source) limitCheckDue(w *consumerMonitor) bool {
	return time.Since(w.lastCheck) >= s.b.o.CheckInterval*9/10 && (s.inFlight.limitMayChange(s.spec.ackPending.least) || s.unraised.Load() != nil)
}

// noDeliveries reports whether nothing was delivered for a while though it was asked for.
func (s *Source) noDeliveries(w *consumerMonitor) bool {
	now := time.Now()
	asked := now.Sub(time.Unix(0, s.lastPulled.Load())) < fetchWait+pullExpires+pullGrace
	heard := s.arrived.Load()
	if heard != w.deliveries {
		s.stalled.Store(nil)
	}
	if heard != w.deliveries || !asked {
		w.deliveries, w.quietSince, w.emptyChecks = heard, now, 0
		return false
	}
	return now.Sub(w.quietSince) >= s.b.o.CheckInterval*9/10
}

// verifyConsumer reads the consumer, and whether it is still the one that the Source was opened on.
func (s *Source) verifyConsumer(ctx context.Context, state *connectionState) (*jetstream.ConsumerInfo, error) {
	top, counted := *s.highest.Load(), s.counter.last.Load() // Before the stream is read, which may go on meanwhile.
	stream, consumer, err := s.readConsumer(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case incarnationOf(stream) != s.incarnation:
		return nil, fmt.Errorf("%w: stream %q was made again", bus.ErrConsumerLost, s.stream)
	case stream.State.LastSeq < top.sequence:
		return nil, fmt.Errorf("%w: stream %q ends at sequence %d and %d was delivered: it was restored from an older copy, or lost its end",
			bus.ErrConsumerLost, s.stream, stream.State.LastSeq, top.sequence)
	case !s.isSameConsumer(consumer.Created):
		return nil, fmt.Errorf("%w: consumer %q on stream %q was made again", bus.ErrConsumerLost, s.consumer, s.stream)
	}
	if err := s.checkCount(consumer, counted); err != nil {
		return nil, err
	}
	if s.verified.Load() != state && top.sequence >= stream.State.FirstSeq {
		return consumer, s.compareEvent(ctx, top)
	}
	return consumer, nil
}

// creationTolerance bounds by how much a consumer's time of creation differs, once its server has
// started again, from what was told before: on servers without exactCreation it is then that of its
// file, which was made in the same request.
const creationTolerance = 50 * time.Millisecond

// isSameConsumer reports whether a consumer of this name, created then, is the one that the Source
// was opened on.
func (s *Source) isSameConsumer(created time.Time) bool {
	late := created.Sub(s.created)
	return late == 0 || 0 < late && late < creationTolerance && natsserver.Older(s.b.nc.ConnectedServerVersion(), exactCreation)
}

// compareEvent returns ErrConsumerLost if another event lies where one was delivered from. Where
// there is none, or none may be read, that proves nothing. An answer that did not come is an error:
// answers that wait are not sent until it is known whose they would be.
func (s *Source) compareEvent(ctx context.Context, a deliveryInfo) error {
	m, err := s.b.readStoredMessage(ctx, bus.Position{Stream: s.incarnation, Sequence: a.sequence})
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

// diagnoseSilence tells from the consumer why nothing comes, and what can be done here is done: the
// inbox is made again.
func (s *Source) diagnoseSilence(c *jetstream.ConsumerInfo, w *consumerMonitor, quiet bool) time.Duration {
	dead := s.pullUnanswered.Swap(false)
	var trouble error
	switch {
	case c.Paused:
		trouble = &serverPauseError{fmt.Sprintf("consumer %q on stream %q is paused on the server for another %v", s.consumer, s.stream, c.PauseRemaining)}
	case c.Config.MaxAckPending > 0 && c.NumAckPending >= c.Config.MaxAckPending:
		trouble = fmt.Errorf("consumer %q on stream %q has %d unsettled deliveries, its limit: none will come until some are settled",
			s.consumer, s.stream, c.NumAckPending)
	case quiet && c.NumPending > 0:
		if w.emptyChecks++; w.emptyChecks == 1 {
			return recheckDelay // It may have been published just now.
		}
		trouble = fmt.Errorf("%d events are pending for consumer %q on stream %q and none was delivered for %v",
			c.NumPending, s.consumer, s.stream, time.Since(w.quietSince).Round(time.Second))
		dead = true
	default:
		w.emptyChecks = 0
	}
	if dead {
		s.resubscribeInbox(trouble)
	}
	s.stalled.Store(errorPointer(trouble))
	return s.b.o.CheckInterval
}

// serverPauseError is why nothing comes while the server pauses the consumer.
type serverPauseError struct{ text string }

func (e *serverPauseError) Error() string { return e.text }

// forgetServerPause notes that the server has said that it does not pause the consumer.
func (s *Source) forgetServerPause() {
	trouble := s.stalled.Load()
	if paused := new(serverPauseError); trouble != nil && errors.As(*trouble, &paused) {
		s.stalled.CompareAndSwap(trouble, nil)
	}
}

func (s *Source) resubscribeInbox(why error) {
	s.b.log.Warn("subscribing the consumer's inbox again", "stream", s.stream, "consumer", s.consumer,
		"reason", cmp.Or(why, errors.New("a pull was not answered")))
	if err := s.subscribeInbox(); err != nil {
		s.b.log.Warn("could not subscribe the consumer's inbox; will try again", "consumer", s.consumer, "error", err)
	}
}

func errorPointer(err error) *error { //nolint:gocritic // for an atomic.Pointer
	if err == nil {
		return nil
	}
	return &err
}
