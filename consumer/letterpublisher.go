package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
)

// storeLetters is the loop that stores dead letters.
func (e *engine) storeLetters() {
	var ls []*protocol.Letter
	for e.awaitWork(letterLoop, func(m *protocol.Machine, now time.Time) bool {
		ls = m.Letters(now)
		return len(ls) > 0
	}) {
		errs := e.letters.publishLetters(ls, e.now())
		e.stepMachine(func(m *protocol.Machine, now time.Time) {
			for i, l := range ls {
				m.LetterPublished(now, l, errs[i])
			}
		})
		for i, l := range ls {
			if errs[i] == nil {
				e.o.Logger.Error("event dead-lettered", "key", l.Key.String(), "topic", e.o.DeadLetter, "reason", l.Reason)
			}
		}
		if err := errors.Join(errs...); err != nil {
			e.o.Logger.Error("dead letters could not be stored; their events will be redelivered for that",
				"topic", e.o.DeadLetter, "error", err)
			e.letters.remeasureRoom(err)
		}
	}
}

// letterPublisher publishes dead letters to their topic. It is not safe for concurrent use.
type letterPublisher struct {
	bus          bus.Bus
	group, topic string
	room         letterRoom
	log          *slog.Logger
	callContext  func() (context.Context, context.CancelFunc) // of one call of the bus
}

// publishLetters returns why each letter is not known to be stored. The parts of letters that have
// some are stored before them.
func (p *letterPublisher) publishLetters(ls []*protocol.Letter, now time.Time) []error {
	errs := make([]error, len(ls))
	letters := make([]bus.Event, len(ls))
	var parts, ready []bus.Event
	var partOf, readyOf []int // indexes of their letters
	for i, l := range ls {
		var own []bus.Event
		own, letters[i] = newLetter(l, p.group, now).toEvents(p.topic, p.room)
		for range own {
			partOf = append(partOf, i)
		}
		parts = append(parts, own...)
	}
	if len(parts) > 0 {
		for n, r := range p.publishEvents(parts) {
			errs[partOf[n]] = errors.Join(errs[partOf[n]], r.Err)
		}
	}
	for i := range letters {
		if errs[i] == nil {
			ready, readyOf = append(ready, letters[i]), append(readyOf, i)
		}
	}
	for n, r := range p.publishEvents(ready) {
		errs[readyOf[n]] = r.Err
	}
	return errs
}

// remeasureRoom reads again how large a letter may be, where one was too large: the limits of
// stream and server may have changed.
func (p *letterPublisher) remeasureRoom(failure error) {
	if !errors.Is(failure, bus.ErrTooLarge) {
		return
	}
	ctx, cancel := p.callContext()
	defer cancel()
	info, err := p.bus.Topic(ctx, p.topic, p.group, bus.Start{})
	if err != nil {
		p.log.Warn("the limits of the dead-letter topic could not be read", "topic", p.topic, "error", err)
		return
	}
	p.room = newLetterRoom(&info)
}

// publishEvents returns a receipt for each event, also from a bus that returned none.
func (p *letterPublisher) publishEvents(events []bus.Event) []bus.Receipt {
	ctx, cancel := p.callContext()
	defer cancel()
	receipts, err := p.bus.Publish(ctx, events...)
	if len(receipts) == len(events) {
		return receipts
	}
	err = errors.Join(err, fmt.Errorf("the bus answered %d of %d events", len(receipts), len(events)))
	receipts = make([]bus.Receipt, len(events))
	for i := range receipts {
		receipts[i].Err = err
	}
	return receipts
}
