package worker

import (
	"context"
	"sync"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/outbox"
)

// drainer is one that is run.
type drainer struct {
	*outbox.Drainer

	queue    outbox.Queue
	pastDead bool
}

// AddDrainer has the rows of an outbox published on the worker's bus, from the start of Run, beside the subscriptions or without any. When the
// worker drains, it goes on until the subscriptions have; then it finishes what is on its way, and gives its partitions to others. Rows that it has
// not taken by then are theirs, or the next worker's. Nil options are the default; Logger is the worker's if there is none. What it returns tells of its
// health.
func (w *Worker) AddDrainer(q outbox.Queue, o *outbox.Options) (*outbox.Drainer, error) {
	var out outbox.Options
	if o != nil {
		out = *o
	}
	if out.Logger == nil {
		out.Logger = w.o.Logger
	}
	var to bus.Publisher = w.c.Bus()
	if w.c.provisions() {
		to = provisioning{w.c.Bus(), out.Logger}
	}
	d, err := outbox.NewDrainer(q, to, &out)
	if err != nil {
		return nil, err
	}
	w.drainers = append(w.drainers, &drainer{Drainer: d, queue: q, pastDead: out.AfterDead == outbox.GoOn})
	return d, nil
}

// name is where the rows are.
func (d *drainer) name() string {
	if named, ok := d.queue.(interface{ Name() string }); ok {
		return named.Name()
	}
	return "outbox"
}

// behind is stopped once the subscriptions have drained.
func (d *drainer) behind(subs []subscribed) Actor {
	told := make(chan struct{})
	return Actor{
		Name: "drainer of " + d.name(),
		Run: func() error {
			ctx, end := context.WithCancel(context.Background())
			var waiting sync.WaitGroup
			waiting.Go(func() {
				defer end()
				drained(ctx, told, subs)
			})
			err := d.Run(ctx)
			end()
			waiting.Wait()
			return err
		},
		Stop: func(error) { close(told) },
	}
}

// drained waits until the worker was told to drain and the subscriptions have, or ctx ends.
func drained(ctx context.Context, told <-chan struct{}, subs []subscribed) {
	select {
	case <-told:
	case <-ctx.Done():
	}
	for _, s := range subs {
		select {
		case <-s.sub.Done():
		case <-ctx.Done():
		}
	}
}

// empty tells whether there is nothing that could be published, now or after a backoff. Rows behind a dead one of their key are not waited for.
func (d *drainer) empty(ctx context.Context) bool {
	ask := outbox.Ask{To: outbox.MaxHash, Rows: 1, Bytes: 1, PastDead: d.pastDead}
	for {
		page, err := d.queue.Pending(ctx, ask)
		if err != nil || len(page.Rows) > 0 {
			return false
		}
		if page.Next == 0 {
			return true
		}
		ask.From = page.Next
	}
}

// left tells what a drainer has done.
func (w *Worker) left(d *drainer) {
	n := d.Stats()
	w.o.Logger.Info("outbox drained", "outbox", d.name(), "sent", n.Sent, "duplicates", n.Duplicates, "refused", n.Refused, "dead", n.Dead)
}
