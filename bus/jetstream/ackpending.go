package jetstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
)

// The server counts an event that was nacked with a delay against the consumer's max_ack_pending
// until it is settled, so events that back off for minutes would stop all others of their group.
// The event stays with the server, its only owner. What gives way is the limit: while events wait,
// the monitor raises it in steps that all processes of the group share, and lowers it afterwards.

const (
	// defaultAckPendingFactor times MaxUnsettled is the default of Options.MaxAckPending.
	defaultAckPendingFactor = 10
	// lowerBelow is the divisor of the limit below which the unsettled deliveries must stay before
	// the limit is lowered.
	lowerBelow = 8
	// lowerAfter times Options.CheckInterval is how long they must stay there. A change that the
	// server refused is not tried again for as long.
	lowerAfter = 12
	// lookAfter is the divisor of the limit that gives the number of delayed naks after which the
	// monitor looks at the consumer. If pulls come back empty, it looks after a quarter of that.
	lookAfter = 16
)

// ackPendingSteps are the values that Onceish sets max_ack_pending to: least, its multiples by
// powers of two, and most.
type ackPendingSteps struct{ least, most int }

// stepFor returns the lowest step of which more than half is left beside what waits, or most.
func (p ackPendingSteps) stepFor(waiting int) int {
	limit := p.least
	for limit < p.most && limit-waiting <= waiting {
		if limit > p.most/2 {
			return p.most
		}
		limit *= 2
	}
	return limit
}

// keepLimit returns the limit for a consumer that is subscribed to: the present one if the group
// may have raised it and still needs it.
func (p ackPendingSteps) keepLimit(limit, unsettled int) int {
	if limit < p.least || limit > p.most || p.canLower(limit, unsettled) {
		return p.stepFor(unsettled)
	}
	return limit
}

func (p ackPendingSteps) canLower(limit, unsettled int) bool {
	return limit > p.least && unsettled < limit/lowerBelow
}

// inFlightDeliveries is what a Source knows of its own deliveries: which are in flight, and whether
// it nacked some with a delay.
type inFlightDeliveries struct {
	mu           sync.Mutex
	ackWait      time.Duration
	limit        int                  // the consumer's max_ack_pending when it was last read
	due          map[uint64]time.Time // by sequence, when the server takes the delivery back
	delayed      int                  // delayed naks since the monitor last looked
	monitorWoken bool                 // the monitor was woken for them
	until        time.Time            // when the last delay of a nak ends
}

func (f *inFlightDeliveries) add(ds []*bus.Delivery) {
	f.mu.Lock()
	defer f.mu.Unlock()
	due := time.Now().Add(f.ackWait)
	for _, d := range ds {
		f.due[d.At.Sequence] = due
	}
}

func (f *inFlightDeliveries) extendDue(sequence uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.due[sequence]; ok {
		f.due[sequence] = time.Now().Add(f.ackWait)
	}
}

// recordAnswer records a settlement that was sent, and reports whether the monitor should look
// at the consumer because many were nacked with a delay.
func (f *inFlightDeliveries) recordAnswer(sequence uint64, how bus.Answer) (look bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.due, sequence)
	if !how.Nak || how.After <= 0 {
		return false
	}
	if end := time.Now().Add(how.After); end.After(f.until) {
		f.until = end
	}
	f.delayed++
	look = !f.monitorWoken && f.delayed*lookAfter >= f.limit
	f.monitorWoken = f.monitorWoken || look
	return look
}

// looksStarved reports whether the monitor should look at the consumer because a pull
// came back empty.
func (f *inFlightDeliveries) looksStarved() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.delayed > 0 && f.delayed*lookAfter*4 >= f.limit
}

// limitMayChange reports whether there is a reason to look at the consumer's limit from
// time to time.
func (f *inFlightDeliveries) limitMayChange(least int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.delayed > 0 || f.limit > least
}

// resetDelayed starts counting delayed naks again.
func (f *inFlightDeliveries) resetDelayed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delayed, f.monitorWoken = 0, false
}

func (f *inFlightDeliveries) updateConfig(c *jetstream.ConsumerConfig) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ackWait, f.limit = c.AckWait, c.MaxAckPending
}

// countUnsettled drops what the server has taken back, and returns how many are in flight and
// whether events wait for the delay of a nak.
func (f *inFlightDeliveries) countUnsettled() (n int, waiting bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for sequence, due := range f.due {
		if due.Before(now) {
			delete(f.due, sequence)
		}
	}
	return len(f.due), now.Before(f.until)
}

// waitingForRetry estimates how many of the consumer's unsettled deliveries wait for the delay
// of their nak: those that are not in flight here. The server does not tell, so what other
// processes have in flight counts too, once this one knows of any that wait, or starved says
// that it gets nothing.
func (s *Source) waitingForRetry(c *jetstream.ConsumerInfo, starved bool) int {
	here, some := s.inFlight.countUnsettled()
	here += len(s.incoming)
	if !some && (!starved || here > 0) {
		return 0
	}
	return max(0, c.NumAckPending-here)
}

// neededLimit returns what max_ack_pending should be raised to, or its present value.
func (s *Source) neededLimit(c *jetstream.ConsumerInfo, waiting int) int {
	limit := c.Config.MaxAckPending
	if limit <= 0 || waiting < limit-limit/2 {
		return limit
	}
	return max(limit, s.spec.ackPending.stepFor(waiting))
}

// reachableLimit is how many deliveries may be unsettled, counting what the monitor is
// about to add.
func (s *Source) reachableLimit(c *jetstream.ConsumerInfo) int {
	needed := s.neededLimit(c, s.waitingForRetry(c, false))
	if needed > c.Config.MaxAckPending {
		notifyOnce(s.wakeMonitor)
		if !s.b.o.BindOnly && s.unraised.Load() == nil {
			return needed
		}
	}
	return c.Config.MaxAckPending
}

// adjustLimit raises max_ack_pending while events that wait would fill it, and lowers it when that
// has been over for a while. It reports whether it changed it.
func (s *Source) adjustLimit(ctx context.Context, c *jetstream.ConsumerInfo, w *consumerMonitor) bool {
	limit, now := c.Config.MaxAckPending, time.Now()
	starved := c.NumPending > 0 && c.NumAckPending >= limit && now.Sub(w.quietSince) >= c.Config.AckWait
	waiting := s.waitingForRetry(c, starved)
	target := s.neededLimit(c, waiting)
	switch {
	case limit <= 0 || !s.spec.ackPending.canLower(limit, c.NumAckPending):
		w.lowSince = time.Time{}
	case w.lowSince.IsZero():
		w.lowSince = now
	case now.Sub(w.lowSince) >= lowerAfter*s.b.o.CheckInterval:
		target = s.spec.ackPending.stepFor(c.NumAckPending)
	}
	if target != limit && !s.b.o.BindOnly && !now.Before(w.retryAt) {
		if w.changeRefused = s.setLimit(ctx, c, target, waiting); w.changeRefused == nil {
			s.unraised.Store(nil)
			w.lowSince, w.quietSince, w.emptyChecks = time.Time{}, now, 0
			return true
		}
		w.retryAt = now.Add(lowerAfter * s.b.o.CheckInterval)
	}
	s.unraised.Store(errorPointer(s.explainLimit(c, waiting, w.changeRefused)))
	return false
}

func (s *Source) setLimit(ctx context.Context, c *jetstream.ConsumerInfo, limit, waiting int) error {
	ctx, cancel := s.b.withAPITimeout(ctx)
	defer cancel()
	config := c.Config
	config.MaxAckPending = limit
	if _, err := s.b.js.UpdateConsumer(ctx, s.stream, config); err != nil {
		err = s.b.wrapRequestError(fmt.Sprintf("set max_ack_pending of consumer %q on stream %q to %d", s.consumer, s.stream, limit), err)
		s.b.log.Warn("could not change a consumer's max_ack_pending; will try again", "stream", s.stream, "consumer", s.consumer, "error", err)
		return err
	}
	s.b.log.Info("changed a consumer's max_ack_pending, for events that wait for their next attempt", "stream", s.stream, "consumer", s.consumer,
		"max_ack_pending", limit, "max_ack_pending_before", c.Config.MaxAckPending, "unsettled", c.NumAckPending, "waiting", waiting)
	c.Config = config
	s.inFlight.updateConfig(&config)
	return nil
}

// explainLimit returns why the limit is not raised though events that wait have nearly filled it.
func (s *Source) explainLimit(c *jetstream.ConsumerInfo, waiting int, refused error) error {
	limit := c.Config.MaxAckPending
	if limit <= 0 || waiting < limit-limit/2 || c.NumAckPending < limit-limit/10 {
		return nil
	}
	why := cmp.Or(refused, errors.New("it is about to be"))
	switch {
	case s.b.o.BindOnly:
		why = fmt.Errorf("Options.BindOnly is set: raise it with nats consumer edit %s %s --max-pending %d", s.stream, s.consumer, s.spec.ackPending.stepFor(waiting))
	case limit >= s.spec.ackPending.most:
		why = fmt.Errorf("Options.MaxAckPending is %d", s.spec.ackPending.most)
	}
	return fmt.Errorf("consumer %q on stream %q has %d unsettled deliveries of at most %d, and up to %d of them wait for their next attempt; the limit was not raised: %w",
		s.consumer, s.stream, c.NumAckPending, limit, waiting, why)
}
