package chaos

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/cmd/worker/internal/journal"
)

// readSpans reads where the copies of each event lie, and counts them.
func (r *round) readSpans(ctx context.Context) (spans map[string]journal.Span, stored int, err error) {
	spans = make(map[string]journal.Span, len(r.plan.ids))
	for i := range r.lab.targets {
		n, err := r.readSpansOf(ctx, &r.lab.targets[i], spans)
		if err != nil {
			return nil, 0, fmt.Errorf("read the events: %w", err)
		}
		stored += n
	}
	return spans, stored, nil
}

func (r *round) readSpansOf(ctx context.Context, t *target, spans map[string]journal.Span) (stored int, err error) {
	all, err := r.lab.js.OrderedConsumer(ctx, t.stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{bus.FilterOf(t.topic)}, HeadersOnly: true})
	if err != nil {
		return 0, err
	}
	messages, err := all.Messages()
	if err != nil {
		return 0, err
	}
	defer messages.Stop()
	left := all.CachedInfo().NumPending
	for left > 0 {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return 0, err
		}
		at, err := m.Metadata()
		if err != nil {
			return 0, err
		}
		id, span := m.Headers().Get("ce-id"), journal.Span{First: at.Sequence.Stream, Last: at.Sequence.Stream}
		left = at.NumPending
		if isRollCall(id) {
			continue
		}
		if before, known := spans[id]; known {
			span.First = before.First
		}
		spans[id] = span
		stored++
	}
	return stored, nil
}

// judgeOrder finds events that began out of order.
func (r *round) judgeOrder(spans map[string]journal.Span) {
	d := journal.FindDisorder(r.records, spans, r.wasCalm)
	r.addViolation(ViolationOrder, d.Overlaps, "%d %s began while another run of the key went on in the same process")
	r.addViolation(ViolationOrder, d.Overtakes, "%d %s overtook an earlier one of the key that waited for its retry in the same process")
	r.addViolation(ViolationOrder, d.Inversions, "%d %s overtook an earlier one of the key that was delivered to the same process before")
	if r.o.sharesTopic() {
		r.judgeGroupOrder(spans)
	}
}

// judgeGroupOrder finds events that were out of order over all processes.
func (r *round) judgeGroupOrder(spans map[string]journal.Span) {
	d := journal.FindGroupDisorder(r.records, spans, r.fleet.kills, func(pid int, from, to time.Time) bool {
		return r.explainsLoss(journal.Loss{PID: pid, From: from, At: to})
	})
	r.addViolation(ViolationOrder, d.Inversions, "%d %s had the first effect after a later one of the key, over all processes")
	r.addViolation(ViolationOrder, d.Overlaps, "%d %s began while another process ran one of the key, and nothing explains it")
}

// wasCalm reports whether there was no fault, and no standstill, in a time.
func (r *round) wasCalm(from, to time.Time) bool {
	for _, i := range r.injector.injections {
		if i.overlaps(from, to, 2*r.o.Lease) {
			return false
		}
	}
	return !r.still.hitAny(from, to)
}
