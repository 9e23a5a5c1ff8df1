package worker

import (
	"context"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// Instrumentation watches what a Worker does, and adds to the headers of what it publishes. It
// changes nothing of what becomes of events. telemetry.Traces is one. Its methods must not block.
type Instrumentation interface {
	// Subscription adds middleware and observers to the options of the group's subscription to the
	// topic, before it starts. The options have their defaults.
	Subscription(topic, group string, o *consumer.Options)
	// Publisher returns a publisher that publishes by another one. It is safe for concurrent use.
	Publisher(to bus.Publisher) bus.Publisher
	// Headers is a bus.ContextHeaders: for events that are added to an outbox, or to a document.
	Headers(ctx context.Context) bus.Headers
}

// Instrument adds an instrumentation to all subscriptions, to Publisher, and to the outboxes and
// documents of the worker's connections. It is called before AddDrainer and Publisher; of several
// the last is outermost, and the Headers are the last one's.
func (w *Worker) Instrument(i Instrumentation) {
	w.instruments = append(w.instruments, i)
	headers := bus.ContextHeaders(i.Headers)
	w.conns.headers.Store(&headers)
}

// Publisher publishes on the worker's bus, for handlers: as the bus itself does, topics with
// partitions to those (ConnectOptions.Partitions), and watched by what Instrument has added.
func (w *Worker) Publisher() bus.Publisher { return w.instrumentPublisher(w.conns.Publisher()) }

func (w *Worker) instrumentPublisher(to bus.Publisher) bus.Publisher {
	for _, i := range w.instruments {
		to = i.Publisher(to)
	}
	return to
}

func (w *Worker) instrumentSubscription(topic string, o *consumer.Options) {
	for _, i := range w.instruments {
		i.Subscription(topic, w.group, o)
	}
}

// contextHeaders are those of the instrumentation of the worker that runs on the connections.
func (c *Connections) contextHeaders(ctx context.Context) bus.Headers {
	if f := c.headers.Load(); f != nil {
		return (*f)(ctx)
	}
	return nil
}
