package memory

import (
	"context"
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
)

// fetchWait is how long Fetch waits for a first delivery, and how long what it asked for
// stays asked for.
const fetchWait = time.Second

// Source implements bus.Source. The stream's lock guards all but wake and slot.
type Source struct {
	slot *slot
	wake chan struct{} // holds one token: look again

	inbox  []*bus.Delivery // handed over, not yet fetched
	asks   []ask           // oldest first
	lost   bool            // the cursor was deleted while this waited on it
	closed bool
}

// ask is what a Fetch asked for and has not been handed over.
type ask struct {
	n     int
	until time.Time
}

var _ bus.Source = (*Source)(nil)

func newSource(sl *slot) *Source { return &Source{slot: sl, wake: make(chan struct{}, 1)} }

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
		s.sleep(ctx, wait)
	}
}

// TryFetch returns up to most deliveries that are there now, and what earlier calls of Fetch asked
// for. It does not wait and leaves nothing asked for: it is for simulations.
func (s *Source) TryFetch(most int) (ds []*bus.Delivery, err error) {
	s.slot.stream.do(func(now int64) {
		ds = s.read()
		if err = s.usable(); err != nil {
			return
		}
		c := s.slot.cursor
		c.pass(now)
		for range most {
			d := c.take(now)
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
	s.slot.stream.do(func(now int64) {
		if err = s.usable(); err != nil {
			return
		}
		st, c := s.slot.stream, s.slot.cursor
		c.pass(now)
		info = bus.Info{
			Stream: st.name, Floor: c.settled(), Pending: uint64(c.pending), Lost: c.lost,
			Unsettled: uint64(len(c.out)), MaxUnsettled: uint64(st.config.MaxUnsettled + c.delayed),
			AckWait: time.Duration(c.ackWait), Now: time.Unix(0, now).UTC(),
		}
	})
	return info, err
}

// Healthy implements bus.Source.
func (s *Source) Healthy() (err error) {
	s.slot.stream.do(func(int64) { err = s.usable() })
	return err
}

// Close implements bus.Source.
func (s *Source) Close(context.Context) error {
	s.slot.stream.do(func(int64) {
		s.closed, s.asks, s.inbox = true, nil, nil
		s.rouse()
	})
	return nil
}

// ask asks for what is missing to most, if anything.
func (s *Source) ask(most int, until time.Time) {
	s.slot.stream.do(func(int64) {
		missing := most - len(s.inbox) - s.open()
		if missing <= 0 || s.usable() != nil {
			return
		}
		s.asks = append(s.asks, ask{n: missing, until: until})
		s.slot.cursor.enqueue(s)
	})
}

// collect returns what was handed over, or else how long to wait for it; no time means that
// nothing will come.
func (s *Source) collect(until time.Time) (ds []*bus.Delivery, wait time.Duration, err error) {
	s.slot.stream.do(func(now int64) {
		if ds = s.read(); len(ds) > 0 {
			return
		}
		if err = s.usable(); err != nil || s.open() == 0 {
			return
		}
		wait = min(time.Until(until), time.Until(s.asks[0].until))
		if due, ok := s.slot.cursor.wakeIn(now); ok && s.slot.stream.real {
			wait = min(wait, due)
		}
	})
	return ds, wait, err
}

// sleep waits until there may be something to collect.
func (s *Source) sleep(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-s.wake:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// read empties the inbox.
func (s *Source) read() []*bus.Delivery {
	ds := s.inbox
	s.inbox = nil
	return ds
}

// usable says why nothing more can come.
func (s *Source) usable() error {
	switch {
	case s.closed:
		return fmt.Errorf("memory: fetch from %q for group %q: %w", s.slot.topic, s.slot.group, bus.ErrClosed)
	case s.lost || s.slot.cursor == nil:
		return fmt.Errorf("memory: %q of group %q: %w: subscribe again", s.slot.topic, s.slot.group, bus.ErrConsumerLost)
	}
	return nil
}

// open is how much is asked for and not handed over.
func (s *Source) open() int {
	n, now := 0, time.Now()
	for len(s.asks) > 0 && !now.Before(s.asks[0].until) {
		s.asks = s.asks[1:]
	}
	for _, a := range s.asks {
		n += a.n
	}
	return n
}

// hand puts into the inbox what was asked for.
func (s *Source) hand(d *bus.Delivery) {
	s.inbox = append(s.inbox, d)
	if s.asks[0].n--; s.asks[0].n == 0 {
		s.asks = s.asks[1:]
	}
	s.rouse()
}

// lose ends what was asked for: the cursor was deleted.
func (s *Source) lose() {
	s.lost, s.asks = true, nil
	s.rouse()
}

func (s *Source) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
