package memory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/backoff"
)

// fetchWait is how long Fetch waits for a first delivery, and how long what it asked for
// stays asked for.
const fetchWait = time.Second

// Source implements bus.Source. The stream's lock guards all but wake and slot.
type Source struct {
	slot *groupSlot
	wake chan struct{} // holds one token: look again

	inbox  []*bus.Delivery // handed over, not yet fetched
	asks   []ask           // oldest first
	lost   bool            // the cursor was deleted while this waited on it
	alone  bool            // it was opened to be the cursor's soleReader
	closed bool
}

// ask is what a Fetch asked for and has not been handed over.
type ask struct {
	n     int
	until time.Time
}

var _ bus.Source = (*Source)(nil)

func newSource(sl *groupSlot) *Source { return &Source{slot: sl, wake: make(chan struct{}, 1)} }

// Fetch implements bus.Source. It asks for what earlier calls did not ask for already. Under a ctx
// that has ended it asks for nothing, and returns what was handed over.
func (s *Source) Fetch(ctx context.Context, most int) ([]*bus.Delivery, error) {
	until := time.Now().Add(fetchWait)
	for {
		last := ctx.Err() != nil || !time.Now().Before(until)
		if !last {
			s.ask(most, until)
		}
		ds, wait, err := s.collect(until)
		if len(ds) > 0 || err != nil || wait <= 0 || last {
			return ds, err
		}
		backoff.Wait(ctx, s.wake, wait)
	}
}

// TryFetch returns up to most deliveries that are there now, and what earlier calls of Fetch asked
// for. It does not wait and leaves nothing asked for: it is for simulations.
func (s *Source) TryFetch(most int) (ds []*bus.Delivery, err error) {
	s.slot.stream.withLock(func(now int64) {
		ds = s.takeReady()
		if err = s.checkFetchable(); err != nil {
			return
		}
		c := s.slot.cursor
		c.queueDue(now)
		for range most {
			d := c.nextDeliveryTo(s, now)
			if d == nil {
				return
			}
			ds = append(ds, d)
		}
	})
	return ds, err
}

// Info implements bus.Source.
func (s *Source) Info(ctx context.Context) (info bus.Info, err error) {
	if err := context.Cause(ctx); err != nil {
		return bus.Info{}, err
	}
	s.slot.stream.withLock(func(now int64) {
		if err = s.checkUsable(); err != nil {
			return
		}
		st, c := s.slot.stream, s.slot.cursor
		c.queueDue(now)
		info = bus.Info{
			Stream: st.name, Floor: c.advanceFloor(), Pending: uint64(c.pending), Lost: c.lost,
			Unsettled: uint64(len(c.out)), MaxUnsettled: uint64(st.config.MaxUnsettled + c.delayed),
			AckWait: time.Duration(c.ackWait), Now: time.Unix(0, now).UTC(),
		}
	})
	return info, err
}

// Healthy implements bus.Source.
func (s *Source) Healthy() (err error) {
	s.slot.stream.withLock(func(int64) { err = s.checkFetchable() })
	return err
}

// Close implements bus.Source.
func (s *Source) Close(context.Context) error {
	s.slot.stream.withLock(func(int64) {
		s.closed, s.asks, s.inbox = true, nil, nil
		s.wakeFetch()
	})
	return nil
}

// ask asks for what is missing to most, if anything.
func (s *Source) ask(most int, until time.Time) {
	s.slot.stream.withLock(func(int64) {
		missing := most - len(s.inbox) - s.openRequest()
		if missing <= 0 || s.checkFetchable() != nil {
			return
		}
		s.asks = append(s.asks, ask{n: missing, until: until})
		if c := s.slot.cursor; !slices.Contains(c.waiting, s) {
			c.waiting = append(c.waiting, s)
		}
	})
}

// collect returns what was handed over, or else how long to wait for it; no time means that
// nothing will come.
func (s *Source) collect(until time.Time) (ds []*bus.Delivery, wait time.Duration, err error) {
	s.slot.stream.withLock(func(now int64) {
		if ds = s.takeReady(); len(ds) > 0 {
			return
		}
		if err = s.checkFetchable(); err != nil || s.openRequest() == 0 {
			return
		}
		wait = min(time.Until(until), time.Until(s.asks[0].until))
		if due := s.slot.cursor.due; len(due) > 0 && s.slot.stream.real {
			wait = min(wait, time.Duration(due[0].due-now))
		}
	})
	return ds, wait, err
}

// takeReady empties the inbox.
func (s *Source) takeReady() []*bus.Delivery {
	ds := s.inbox
	s.inbox = nil
	return ds
}

// checkFetchable says why nothing more may be handed out.
func (s *Source) checkFetchable() error {
	if err := s.checkUsable(); err != nil {
		return err
	}
	if s.alone && s.slot.cursor.soleReader != s {
		return fmt.Errorf("memory: %q of group %q: %w: another source has read it, or rewound it: rewind it", s.slot.topic, s.slot.group, bus.ErrConsumerLost)
	}
	return nil
}

// checkUsable says why the cursor cannot be used.
func (s *Source) checkUsable() error {
	switch {
	case s.closed:
		return fmt.Errorf("memory: fetch from %q for group %q: %w", s.slot.topic, s.slot.group, bus.ErrClosed)
	case s.lost || s.slot.cursor == nil:
		return fmt.Errorf("memory: %q of group %q: %w: subscribe again", s.slot.topic, s.slot.group, bus.ErrConsumerLost)
	}
	return nil
}

// openRequest is how much is asked for and not handed over.
func (s *Source) openRequest() int {
	n, now := 0, time.Now()
	for len(s.asks) > 0 && !now.Before(s.asks[0].until) {
		s.asks = s.asks[1:]
	}
	for _, a := range s.asks {
		n += a.n
	}
	return n
}

// handOver puts into the inbox what was asked for.
func (s *Source) handOver(d *bus.Delivery) {
	s.inbox = append(s.inbox, d)
	if s.asks[0].n--; s.asks[0].n == 0 {
		s.asks = s.asks[1:]
	}
	s.wakeFetch()
}

// markLost ends what was asked for: the cursor was deleted.
func (s *Source) markLost() {
	s.lost = true
	s.forgetRequests()
}

// forgetRequests ends what was asked for, and has Fetch see that.
func (s *Source) forgetRequests() {
	s.asks = nil
	s.wakeFetch()
}

func (s *Source) wakeFetch() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
