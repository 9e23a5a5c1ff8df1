package bus

import (
	"context"
	"errors"
	"strconv"
)

// RestoreDuplicates publishes events again that the bus took for duplicates of events which are no
// longer stored: it remembers their message ids, and somebody has deleted them, for example by a
// purge. Receipts are those of a Publish of the events; what is published again gets another one,
// and what could not be looked up an error. Events of a stream that deletes what was acknowledged
// stay duplicates, and so does all on a bus that is no Finder, or may not look at single events. It
// blocks for a round trip or two, and a Publish if there is something to restore; it does not
// retry.
func RestoreDuplicates(ctx context.Context, p Publisher, events []Event, receipts []Receipt) {
	b, ok := p.(finderBus)
	if !ok || len(receipts) != len(events) {
		return
	}
	r := restorer{bus: b, events: events, receipts: receipts, streams: make(map[string]string)}
	var duplicates []int
	for i := range receipts {
		if receipts[i].Err == nil && receipts[i].Duplicate {
			duplicates = append(duplicates, i)
		}
	}
	for len(duplicates) > 0 { // a copy may be known and deleted too
		duplicates = r.publishCopies(ctx, r.findLost(ctx, duplicates))
	}
}

type finderBus interface {
	Bus
	Finder
}

type restorer struct {
	bus      finderBus
	events   []Event
	receipts []Receipt
	streams  map[string]string // by topic; empty: what it deletes is not restored
}

// findLost returns the duplicates of which nothing is stored.
func (r *restorer) findLost(ctx context.Context, duplicates []int) (lost []int) {
	var at []Position
	var found []int
	for _, i := range duplicates {
		stream, err := r.streamOf(ctx, r.events[i].Topic)
		if err != nil {
			r.receipts[i].Err = err
		} else if stream != "" && r.receipts[i].Sequence > 0 {
			at, found = append(at, Position{Stream: stream, Sequence: r.receipts[i].Sequence}), append(found, i)
		}
	}
	if len(at) == 0 {
		return nil
	}
	stored, err := r.bus.Find(ctx, at)
	for n, i := range found {
		switch {
		case errors.Is(err, errors.ErrUnsupported):
		case err != nil:
			r.receipts[i].Err = err
		case stored[n].IsZero():
			lost = append(lost, i)
		}
	}
	return lost
}

func (r *restorer) streamOf(ctx context.Context, topic string) (string, error) {
	stream, known := r.streams[topic]
	if known {
		return stream, nil
	}
	info, err := r.bus.Topic(ctx, topic, "", Start{})
	if err != nil {
		return "", err
	}
	if !info.WorkQueue && !info.Interest {
		stream = info.Last.Stream
	}
	r.streams[topic] = stream
	return stream, nil
}

// publishCopies publishes events as other copies, and returns those that are duplicates again. The
// name of a copy follows from what was lost, so that a repeat publishes the same one.
func (r *restorer) publishCopies(ctx context.Context, lost []int) (duplicates []int) {
	if len(lost) == 0 {
		return nil
	}
	copies := make([]Event, len(lost))
	for n, i := range lost {
		control, _ := r.events[i].Control() // zero if it is another event's
		control.Copy += "/" + strconv.FormatUint(r.receipts[i].Sequence, 10)
		copies[n] = r.events[i].WithControl(control)
	}
	answers, err := r.bus.Publish(ctx, copies...)
	for n, i := range lost {
		if n >= len(answers) {
			r.receipts[i].Err = errors.Join(err, errors.New("the bus did not answer for every event"))
			continue
		}
		r.receipts[i] = answers[n]
		if answers[n].Err == nil && answers[n].Duplicate {
			duplicates = append(duplicates, i)
		}
	}
	return duplicates
}
