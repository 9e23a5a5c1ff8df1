package outbox

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
)

// published takes in what the bus said of a batch. random is from 0 to below 1. What is worth a
// line in the log is returned.
func (b *board) published(batch []*item, receipts []bus.Receipt, err error, now time.Time, random func() float64) (notes []note) {
	if len(receipts) != len(batch) {
		receipts = make([]bus.Receipt, len(batch))
		for i := range receipts {
			receipts[i].Err = errors.Join(errNoReceipts, err)
		}
	}
	answered := slices.ContainsFunc(receipts, func(r bus.Receipt) bool { return judge(r.Err) != unknown })
	if answered {
		notes = b.recovered(now)
	} else {
		notes = b.failed(batch, receipts[0].Err, now)
	}
	for i, it := range batch {
		if it.state != flying { // its partition was lost
			continue
		}
		r := receipts[i]
		switch v := judge(r.Err); {
		case v == stored:
			b.sent(it, r)
		case v == hopeless:
			notes = append(notes, b.giveUp(it, r.Err, false))
		case v == refused && it.row.Attempts+1 >= b.o.MaxAttempts:
			notes = append(notes, b.giveUp(it, r.Err, true))
		case v == refused:
			notes = append(notes, b.refuse(it, r.Err, random()))
		case v == noStream || answered: // the bus is there: it is about the topic
			notes = append(notes, b.holdTopic(it, r.Err, now)...)
		default:
			b.unanswered(it)
		}
	}
	return notes
}

var errNoReceipts = errors.New("the bus gave no receipts")

// note is a line for the log.
type note struct {
	text    string
	item    *item // nil: it is about none
	took    time.Duration
	err     error
	serious bool
}

func (b *board) sent(it *item, r bus.Receipt) {
	if r.Duplicate {
		b.stats.Duplicates++
	}
	delete(b.topics, it.row.Event.Topic)
	b.result(it, Result{Outcome: Confirmed})
	if l := it.lane; l != nil {
		l.head = nil
		b.advance(l)
	}
}

func (b *board) giveUp(it *item, err error, attempt bool) note {
	b.result(it, Result{Outcome: GivenUp, Attempt: attempt, Reason: err.Error()})
	if l := it.lane; l != nil {
		l.head = nil
		if b.o.AfterDead == GoOn {
			b.advance(l)
		} else {
			b.stop(l, it)
		}
	}
	return note{text: "given up: the row is dead until it is retried or dropped", item: it, err: err, serious: true}
}

func (b *board) refuse(it *item, err error, random float64) note {
	after := b.o.Backoff.after(it.row.Attempts+1, random)
	b.result(it, Result{Outcome: Refused, After: after, Reason: err.Error()})
	if l := it.lane; l != nil {
		l.head = nil
		b.stop(l, it)
	}
	return note{text: "the bus refused an event: trying again", item: it, took: after, err: err}
}

// stop keeps a lane empty until its former head is marked.
func (b *board) stop(l *lane, it *item) {
	b.empty(l)
	l.failed = it
}

// holdTopic drops a row, and lets its topic wait.
func (b *board) holdTopic(it *item, err error, now time.Time) (notes []note) {
	topic := it.row.Event.Topic
	if b.topics[topic] == nil {
		notes = append(notes, note{text: "events of a topic cannot be stored: it waits", item: it, err: err})
	}
	h := b.topics.fail(topic, err, now)
	h.seen = b.rotation.walk
	b.dueAt(h.until)
	b.putBack(it)
	return notes
}

// recovered ends an outage.
func (b *board) recovered(now time.Time) (notes []note) {
	if b.outage.failures > 0 {
		notes = []note{{text: "the bus answers again", took: now.Sub(b.outage.since)}}
	}
	b.outage = outage{}
	return notes
}

// failed begins or prolongs an outage.
func (b *board) failed(batch []*item, err error, now time.Time) (notes []note) {
	if errors.Is(err, bus.ErrClosed) {
		b.closed = err
	}
	if b.outage.fail(err, now, batch[0].probe) {
		b.stats.Outages++
		notes = []note{{text: "the bus does not answer: waiting for it", err: err, serious: true}}
	}
	return notes
}

// unanswered makes a row ready again, behind the others: if it alone gets no answer,
// others find out.
func (b *board) unanswered(it *item) {
	if it.part.lease.Ending {
		b.putBack(it)
		return
	}
	b.flying--
	it.part.busy--
	b.makeReady(it)
}

// result leaves what became of a row to be marked.
func (b *board) result(it *item, r Result) {
	b.flying--
	b.marking++
	r.ID, r.Version = it.row.ID, it.row.Version
	it.state, it.result = unsettled, r
	b.results = append(b.results, it)
}

// maxSettle is how many rows are marked in one call.
const maxSettle = 1_000

// toSettle takes what is to be marked next, under the leases as they are now. What is of a
// lease that is over waits: either it is renewed, and nobody else had the partition, or the
// partition is lost.
func (b *board) toSettle(now time.Time) (batch []*item, rs []Result) {
	var late []*item
	for len(b.results) > 0 && len(batch) < maxSettle {
		it := b.results[0]
		b.results[0] = nil
		b.results = b.results[1:]
		switch {
		case it.state != unsettled:
		case it.part.over(now):
			late = append(late, it)
		default:
			batch = append(batch, it)
		}
	}
	b.results = append(late, b.results...)
	return batch, leased(batch)
}

// unmarked takes back what could not be marked for now.
func (b *board) unmarked(batch []*item) { b.results = append(slices.Clone(batch), b.results...) }

func leased(batch []*item) []Result {
	rs := make([]Result, len(batch))
	for i, it := range batch {
		rs[i] = it.result
		rs[i].Lease = it.part.lease
	}
	return rs
}

// settled takes in what was marked.
func (b *board) settled(batch []*item, oks []bool, now time.Time) {
	for i, it := range batch {
		if it.state != unsettled {
			continue
		}
		b.count(it, oks[i])
		b.forget(it)
		if b.load.active {
			b.load.ids[it.row.ID] = struct{}{}
		}
		if l := it.lane; l != nil {
			b.release(it, l)
		}
		if it.result.Outcome == Refused {
			b.dueAt(now.Add(it.result.After))
		}
	}
}

// release goes on with a lane after one of its rows was marked.
func (b *board) release(it *item, l *lane) {
	if l.failed == it {
		if b.load.active {
			b.load.keys[l.key] = struct{}{}
		}
		l.failed = nil
		b.end(l)
		return
	}
	if l.more && b.lanes[l.key] == l {
		b.advance(l)
	}
}

func (b *board) count(it *item, ok bool) {
	s := &b.stats
	switch {
	case !ok:
		s.Fenced++
	case it.result.Outcome == Confirmed:
		s.Sent++
	case it.result.Outcome == Refused:
		s.Refused++
	case it.result.Outcome == GivenUp:
		s.Dead++
	}
}

func (n note) attributes() []any {
	var all []any
	if n.item != nil {
		e := &n.item.row.Event
		all = append(all, "id", e.ID, "topic", e.Topic, "key", e.Key, "attempts", n.item.row.Attempts)
	}
	if n.took > 0 {
		all = append(all, "after", n.took)
	}
	if n.err != nil {
		all = append(all, "error", fmt.Sprintf("%.1000s", n.err.Error()))
	}
	return all
}
