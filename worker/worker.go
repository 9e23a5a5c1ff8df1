package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/deferral"
	"github.com/onceish/onceish/mongodoc"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
	"github.com/onceish/onceish/worker/internal/systemd"
)

// Worker is a process of one group: its subscriptions, the outboxes that it publishes from, and
// what runs beside them. Handle, Observe, Instrument, AddDrainer, Add and Defer are called before
// Run, by one goroutine.
type Worker struct {
	group    string
	conns    *Connections
	o        Options
	handlers []handlerSpec
	drainers []*drainerRun
	member   atomic.Pointer[membership] // of the group, once Run has joined it
	observe  []ObserverFunc
	watch    []DeferralObserverFunc
	trackers []*deferral.Tracker                          // once Run has subscribed
	running  atomic.Pointer[map[string]*deferral.Tracker] // those by the topic of their subscription
	breakers map[string]*groupBreaker
	hosts    map[string]*hostLimit // by host, with its port
	actors   []Actor
	closers  []func() error

	instruments []Instrumentation
	manager     *systemd.Manager // of the process; nil: none, or not known
}

// handlerSpec is a subscription to be.
type handlerSpec struct {
	topic   string
	handler consumer.Handler
	options *consumer.Options
	defers  *Deferral // nil: nothing is deferred
}

// Options of New. The zero value means the defaults.
type Options struct {
	// Drain is the consumer.Options.Drain of subscriptions that have none of their own. Zero:
	// theirs, 25 s.
	Drain time.Duration
	// UntilEmpty ends the run, as ctx does, once the group has settled everything that is on its
	// topics, also what is in flight in other processes of the group and what waits for its next
	// attempt, and everything in its outboxes is published that can be. Run then returns ErrUndone
	// if events were given up meanwhile. It also does when all that is left waits for streams that
	// are not there.
	UntilEmpty bool
	// Name names the place of this process in its group, as group.Options.Name: over a restart
	// under this name, partitions wait for it for 10 s. No two processes of the group have the
	// same. Empty: it has none.
	Name string
	// ForceStop, once closed, ends the run as ctx does, and cancels the handlers that still run.
	// Nil: they have until the drain time-out.
	ForceStop <-chan struct{}
	// Started is called once the group is subscribed to all topics. Nil: nobody is told.
	Started func()
	// Logger of the worker, and of subscriptions that have none of their own; slog.Default().
	Logger *slog.Logger
}

// Actor is something that runs beside the subscriptions, and how it is told to stop.
type Actor struct {
	// Name for the log.
	Name string
	// Run returns when it has ended by itself or was stopped. When it returns the worker ends,
	// with its error.
	Run func() error
	// Stop is called once, when the worker begins to drain, and does not wait.
	Stop func(error)
}

// New returns a worker of the group over connections that are the caller's to close, after Run.
func New(group string, c *Connections, o *Options) (*Worker, error) {
	switch {
	case group == "":
		return nil, fmt.Errorf("%w: the group is empty: name who consumes, such as \"billing\"", ErrUsage)
	case c == nil:
		return nil, errors.New("the connections are nil: make them with Connect or Over")
	}
	w := &Worker{group: group, conns: c, o: *cmp.Or(o, &Options{})}
	w.o.Logger = cmp.Or(w.o.Logger, slog.Default())
	return w, nil
}

// Handle subscribes the group to the topic when Run starts, as consumer.SubscribeExactlyOnce does:
// each event takes effect once per group. The topic may be a pattern. A group has one handler for a
// topic: Run refuses topics that overlap.
func (w *Worker) Handle(topic string, h consumer.Handler, o *consumer.Options) {
	w.handlers = append(w.handlers, handlerSpec{topic: topic, handler: h, options: o})
}

// ObserverFunc returns an observer for the subscription of a group to a topic. Nil: none.
type ObserverFunc func(topic, group string) consumer.Observer

// Observe adds an observer to each subscription, beside that of its options, which is told first,
// and those that were added before. Run calls f once for each subscription, also for those that are
// added later.
func (w *Worker) Observe(f ObserverFunc) { w.observe = append(w.observe, f) }

// DeferralObserverFunc returns an observer for the deferral of events of a group's subscription to
// a topic. Nil: none.
type DeferralObserverFunc func(topic, group string) deferral.Observer

// ObserveDeferral adds an observer to each subscription that defers events. It is called before
// Run.
func (w *Worker) ObserveDeferral(f DeferralObserverFunc) { w.watch = append(w.watch, f) }

// Add has something run beside the subscriptions.
func (w *Worker) Add(a Actor) { w.actors = append(w.actors, a) }

// Defer has something closed when Run ends, after everything that runs has stopped; the last first.
// Its error is Run's.
func (w *Worker) Defer(closer func() error) { w.closers = append(w.closers, closer) }

// Group is the name of the group.
func (w *Worker) Group() string { return w.group }

// Logger is the worker's.
func (w *Worker) Logger() *slog.Logger { return w.o.Logger }

// Bus is where events come from. Handlers publish by Publisher.
func (w *Worker) Bus() bus.Bus { return w.conns.Bus() }

// Connections are those of New.
func (w *Worker) Connections() *Connections { return w.conns }

// NATS is the connection to NATS; nil if the bus is another one. Do not close it.
func (w *Worker) NATS() *nats.Conn { return w.conns.NATS() }

// Outbox is Connections.Outbox: for handlers that add to it, and for AddDrainer.
func (w *Worker) Outbox(ctx context.Context, collection string, o *mongooutbox.Options) (*Outbox, error) {
	return w.conns.Outbox(ctx, collection, o)
}

// Database is the one of MongoDB that has the marks: the URI's, or "onceish". Nil if they are kept
// elsewhere, and before Store and Outbox; in a Setup it is there.
func (w *Worker) Database() *mongo.Database { return w.conns.Database() }

// Documents is Connections.Documents: for handlers that change documents once, by UpdateOnce.
func (w *Worker) Documents(ctx context.Context) (*mongodoc.Updater, error) {
	return w.conns.Documents(ctx)
}

// Mongo is the client of the MongoDB that keeps the marks; nil if they are kept elsewhere. Do not
// disconnect it.
func (w *Worker) Mongo() *mongo.Client { return w.conns.Mongo() }
