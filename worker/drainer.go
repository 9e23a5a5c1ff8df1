package worker

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/mongodoc"
	"github.com/onceish/onceish/outbox"
)

// drainerRun is one that is run.
type drainerRun struct {
	*outbox.Drainer

	queue    outbox.Queue
	mover    *mongodoc.Mover // nil: no events wait in documents
	pastDead bool
	backlog  atomic.Pointer[outbox.Backlog] // nil: not known
}

// AddDrainer has the rows of an outbox published on the worker's bus, from the start of Run, beside
// the subscriptions or without any. When the worker drains, it goes on until the subscriptions
// have; then it finishes what is on its way, and gives its partitions to others. Rows that it has
// not taken by then are theirs, or the next worker's. Nil options are the default; Logger is the
// worker's if there is none. What it returns tells of its health. With an Outbox of the worker's
// connections, events that wait in documents of its database are published as well.
func (w *Worker) AddDrainer(q outbox.Queue, o *outbox.Options) (*outbox.Drainer, error) {
	out := *cmp.Or(o, &outbox.Options{})
	out.Logger = cmp.Or(out.Logger, w.o.Logger)
	var to bus.Publisher = w.conns.Bus()
	if w.conns.Provisions() {
		to = provisioningPublisher{w.conns.Bus(), out.Logger}
	}
	d, err := outbox.NewDrainer(q, w.instrumentPublisher(w.conns.o.Partitions.Publisher(to)), &out)
	if err != nil {
		return nil, err
	}
	added := &drainerRun{Drainer: d, queue: q, pastDead: out.AfterDead == outbox.GoOn}
	if box, ok := q.(*Outbox); ok {
		added.mover = box.mover
	}
	w.drainers = append(w.drainers, added)
	return d, nil
}

// outboxName is where the rows are.
func (d *drainerRun) outboxName() string {
	if named, ok := d.queue.(interface{ Name() string }); ok {
		return named.Name()
	}
	return "outbox"
}

// shortName is the collection that has the rows, with its namespace; of other queues outboxName.
func (d *drainerRun) shortName() string {
	if stored, ok := d.queue.(interface{ Collection() *mongo.Collection }); ok {
		return stored.Collection().Name()
	}
	return d.outboxName()
}

// drainerActors are the drainer's, and its mover's.
func (d *drainerRun) drainerActors(subs []runningSubscription) []Actor {
	all := []Actor{afterSubscriptions("drainer of "+d.outboxName(), d.Run, subs)}
	if d.mover != nil {
		all = append(all, afterSubscriptions("mover into "+d.outboxName(), d.mover.Run, subs))
	}
	return all
}

// afterSubscriptions is stopped once the subscriptions have drained.
func afterSubscriptions(name string, run func(context.Context) error, subs []runningSubscription) Actor {
	told := make(chan struct{})
	return Actor{
		Name: name,
		Run: func() error {
			ctx, end := context.WithCancel(context.Background())
			var waiting sync.WaitGroup
			waiting.Go(func() {
				defer end()
				waitForDrain(ctx, told, subs)
			})
			err := run(ctx)
			end()
			waiting.Wait()
			return err
		},
		Stop: func(error) { close(told) },
	}
}

// waitForDrain waits until the worker was told to drain and the subscriptions have, or ctx ends.
func waitForDrain(ctx context.Context, told <-chan struct{}, subs []runningSubscription) {
	select {
	case <-told:
	case <-ctx.Done():
	}
	for _, s := range subs {
		select {
		case <-s.ended:
		case <-ctx.Done():
		}
	}
}

// isEmpty reports whether there is nothing that could be published, now or after a backoff.
// Rows behind a dead one of their key are not waited for, nor are documents of which no events
// can be moved.
func (d *drainerRun) isEmpty(ctx context.Context) bool {
	if d.mover != nil {
		if moved, err := d.mover.Move(ctx); err != nil || moved.Events > 0 {
			return false
		}
	}
	for page, err := range d.pendingPages(ctx, 1, 1) {
		if err != nil || len(page.Rows) > 0 {
			return false
		}
	}
	return true
}

// pendingPages are the rows that could be published, now or after a backoff, so many rows and bytes
// at a time. An error is the last.
func (d *drainerRun) pendingPages(ctx context.Context, rows, bytes int) iter.Seq2[outbox.Page, error] {
	return func(yield func(outbox.Page, error) bool) {
		ask := outbox.Ask{To: outbox.MaxHash, Rows: rows, Bytes: bytes, PastDead: d.pastDead}
		for {
			page, err := d.queue.Pending(ctx, ask)
			if !yield(page, err) || err != nil || page.Next == 0 {
				return
			}
			ask.From = page.Next
		}
	}
}

// logOutboxStats tells what a drainer has done.
func (w *Worker) logOutboxStats(d *drainerRun) {
	n := d.Stats()
	told := []any{"outbox", d.outboxName(), "sent", n.Sent, "duplicates", n.Duplicates, "refused", n.Refused, "dead", n.Dead}
	if d.mover != nil {
		m := d.mover.Stats()
		told = append(told, "moved", m.Events, "moved_dead", m.Dead, "stuck_documents", m.Stuck)
	}
	w.o.Logger.Info("outbox drained", told...)
}

// provisioningPublisher is a publisher that makes streams for topics that have none. Their
// events are published with the next try.
type provisioningPublisher struct {
	bus bus.Bus
	log *slog.Logger
}

// Publish implements bus.Publisher.
func (p provisioningPublisher) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	receipts, err := p.bus.Publish(ctx, events...)
	asked := make(map[string]bool)
	for i := range min(len(receipts), len(events)) {
		r, topic := receipts[i], events[i].Topic
		if !errors.Is(r.Err, bus.ErrNoStream) || asked[topic] {
			continue
		}
		asked[topic] = true
		if _, failed := p.bus.Topic(ctx, topic, "", bus.Start{}); failed != nil {
			p.log.Warn("outbox: a topic has no stream, and none could be made", "topic", topic, "error", failed)
		}
	}
	return receipts, err
}
