package bench

import (
	"context"
	"sync"
	"time"
)

// sink takes the events of a load.
type sink interface {
	// send takes a few events in their order. It blocks until the caller may send more, and is safe
	// for concurrent use.
	send(ctx context.Context, events []eventStamp) error
	// finish waits until everything that was sent is confirmed.
	finish(ctx context.Context) error
}

// sendAtOnce is how many events are sent in a call, at most.
const sendAtOnce = 500

// load are the events of a measurement, as they are due.
type load struct {
	events  int
	rate    float64 // 0: they are due at no time
	senders int     // calls of the sink at once
	// late counts how long after it was due an event was sent; it may be nil.
	late func(s eventStamp, now time.Time)
}

// run sends all events to the sink and waits until they are confirmed. An event that is due while
// all senders are busy is sent later, and keeps its due time.
func (l *load) run(ctx context.Context, to sink) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	batches := make(chan []eventStamp)
	var sending sync.WaitGroup
	for range l.senders {
		sending.Go(func() {
			for events := range batches {
				l.noteLate(events)
				if err := to.send(ctx, events); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	l.pace(ctx, batches)
	close(batches)
	sending.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return to.finish(ctx)
}

func (l *load) noteLate(events []eventStamp) {
	if l.late == nil || l.rate == 0 {
		return
	}
	now := time.Now()
	for _, s := range events {
		l.late(s, now)
	}
}

// pace hands out events when they are due, until ctx ends.
func (l *load) pace(ctx context.Context, batches chan<- []eventStamp) {
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for next := 0; next < l.events; {
		ready := l.dueBy(time.Since(start))
		if ready <= next {
			timer.Reset(l.dueAfter(next) - time.Since(start))
			select {
			case <-timer.C:
				continue
			case <-ctx.Done():
				return
			}
		}
		events := l.stamps(start, next, min(ready, next+sendAtOnce))
		select {
		case batches <- events:
			next += len(events)
		case <-ctx.Done():
			return
		}
	}
}

// dueAfter is when an event is due, from the start on.
func (l *load) dueAfter(index int) time.Duration {
	return time.Duration(float64(index) / l.rate * float64(time.Second))
}

// dueBy is how many events are due after so long, by dueAfter.
func (l *load) dueBy(elapsed time.Duration) int {
	if l.rate == 0 {
		return l.events
	}
	n := int(min(float64(l.events), elapsed.Seconds()*l.rate)) // give or take one
	for n < l.events && l.dueAfter(n) <= elapsed {
		n++
	}
	for n > 0 && l.dueAfter(n-1) > elapsed {
		n--
	}
	return n
}

func (l *load) stamps(start time.Time, from, to int) []eventStamp {
	events := make([]eventStamp, to-from)
	for i := range events {
		events[i].index = from + i
		if l.rate > 0 {
			events[i].due = start.Add(l.dueAfter(from + i)).UnixNano()
		}
	}
	return events
}
