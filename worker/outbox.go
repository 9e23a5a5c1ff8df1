package worker

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/backoff"
	"github.com/onceish/onceish/internal/redact"
	"github.com/onceish/onceish/mongodoc"
	"github.com/onceish/onceish/outbox"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
	"github.com/onceish/onceish/outbox/notify"
	"github.com/onceish/onceish/worker/config"
)

// OutboxCollection is where an outbox is if nothing else is said.
const OutboxCollection = config.OutboxCollection

var (
	_ outbox.Queue   = (*Outbox)(nil)
	_ outbox.Admin   = (*Outbox)(nil)
	_ outbox.Watcher = (*Outbox)(nil)
)

// Outbox is an outbox in the MongoDB of the connections. Drainers of it, in all processes, are
// woken over NATS when rows are added, and when UpdateOnce has left events in a
// document. It is safe for concurrent use, and needs no closing.
type Outbox struct {
	*mongooutbox.Queue

	name     string
	notifier *notify.Notifier // nil: the bus is not NATS
	mover    *mongodoc.Mover
	log      *slog.Logger
}

// Outbox makes sure of an outbox in the collection, on the MongoDB of the connections, in the
// database of marks. Empty: OutboxCollection. Nil options are the default. ConnectOptions.Namespace
// is a part of its name.
func (c *Connections) Outbox(ctx context.Context, collection string, o *mongooutbox.Options) (*Outbox, error) {
	collection = InNamespace(c.o.Namespace, cmp.Or(collection, OutboxCollection))
	if !c.hasMongo() {
		return nil, fmt.Errorf("%w: the outbox %q needs a MongoDB: set --mongo or MONGODB_URI", ErrUsage, collection)
	}
	db, err := c.OpenDatabase(ctx)
	if err != nil {
		return nil, err
	}
	options := *cmp.Or(o, &mongooutbox.Options{})
	if options.Headers == nil {
		options.Headers = c.contextHeaders
	}
	q, err := openOutbox(ctx, db, collection, &options)
	if err != nil {
		return nil, err
	}
	out := &Outbox{Queue: q, name: redact.URL(c.o.Store) + " " + db.Name() + "." + collection, log: c.log}
	if c.nats != nil {
		if out.notifier, err = notify.New(c.nats, db.Name(), collection); err != nil {
			return nil, err
		}
	}
	if out.mover, err = mongodoc.NewMover(q, &mongodoc.MoverOptions{Moved: out.Notify, Logger: c.log}); err != nil {
		return nil, err
	}
	c.outboxesLock.Lock()
	defer c.outboxesLock.Unlock()
	c.outboxes = append(c.outboxes, out)
	return out, nil
}

// notifyOutboxes wakes whoever moves what waits in documents.
func (c *Connections) notifyOutboxes() {
	c.outboxesLock.Lock()
	all := c.outboxes
	c.outboxesLock.Unlock()
	for _, out := range all {
		out.Notify()
	}
}

func openOutbox(ctx context.Context, db *mongo.Database, collection string, o *mongooutbox.Options) (*mongooutbox.Queue, error) {
	if config.HoldsMarks(collection) {
		return nil, fmt.Errorf("%w: the collection %q has the marks of what was handled: name another one for the outbox", ErrUsage, collection)
	}
	return mongooutbox.New(ctx, db.Collection(collection), o)
}

// Name tells people where it is, without credentials.
func (o *Outbox) Name() string { return o.name }

// Healthy returns why events stay in documents, as of the last time that they were looked for in
// this process: nil while all are moved. The drainer that AddDrainer returned tells of the rows.
func (o *Outbox) Healthy() error { return o.mover.Healthy() }

// Notify wakes the drainers of all processes, after rows were added. For Add it is called once the
// transaction has committed; what adds alone does it by itself. It does not block.
func (o *Outbox) Notify() {
	if o.notifier == nil {
		return
	}
	if err := o.notifier.Notify(); err != nil {
		o.log.Debug("outbox: the drainers were not woken: they find the rows later", "error", err)
	}
}

// AddAlone is mongooutbox.Queue.AddAlone, and Notify.
func (o *Outbox) AddAlone(ctx context.Context, events ...bus.Event) ([]string, error) {
	defer o.Notify() // some may be there although it failed
	return o.Queue.AddAlone(ctx, events...)
}

// AddRowsAlone is mongooutbox.Queue.AddRowsAlone, and Notify.
func (o *Outbox) AddRowsAlone(ctx context.Context, rows ...outbox.Row) ([]string, error) {
	defer o.Notify()
	return o.Queue.AddRowsAlone(ctx, rows...)
}

// Watch implements outbox.Watcher: over NATS, and by a change stream where the server has it.
func (o *Outbox) Watch(ctx context.Context, awake func()) error {
	wakeDrainer := awake
	awake = func() {
		o.mover.Notify()
		wakeDrainer()
	}
	if o.notifier == nil {
		return o.Queue.Watch(ctx, awake)
	}
	ctx, cancel := context.WithCancel(ctx)
	var streaming sync.WaitGroup
	streaming.Go(func() { o.watchChanges(ctx, awake) })
	defer streaming.Wait()
	defer cancel()
	return o.notifier.Watch(ctx, awake)
}

// A change stream that ended is asked for again after a second, doubling to five minutes: most
// servers without them will not have them then either.
const (
	changeStreamRetry    = time.Second
	changeStreamRetryMax = 5 * time.Minute
)

func (o *Outbox) watchChanges(ctx context.Context, awake func()) {
	for wait := changeStreamRetry; ctx.Err() == nil; wait = min(2*wait, changeStreamRetryMax) {
		began := time.Now()
		err := o.Queue.Watch(ctx, awake)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > time.Minute {
			wait = changeStreamRetry
		}
		o.log.Debug("outbox: no change stream", "again", wait, "error", err)
		_ = backoff.Sleep(ctx, wait) // the loop looks at ctx
	}
}
