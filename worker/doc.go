// Package worker is a process of one consumer group: its connections, its subscriptions, what runs
// beside them, signals, drain and exit status.
//
// [Main] is all of a worker binary but its handlers:
//
//	func main() {
//		worker.Main("billing", func(ctx context.Context, w *worker.Worker) error {
//			w.Handle("order.placed", consumer.JSON(charge), nil)
//			return nil
//		})
//	}
//
// A service with a main of its own does the same in parts: [Connect], [New], [Worker.Handle],
// [Worker.Run], [Connections.Close], with [Signals] and [ExitStatus] if it wants them. A test runs
// a worker over the bus and the store in memory ([Over]).
//
// A worker also publishes what is in an outbox in MongoDB, beside its subscriptions or without any:
// [Connections.Outbox], [Worker.AddDrainer].
//
// [Worker.Observe] and [Worker.Snapshot] are for metrics: what happens in each subscription, and
// what the worker knows of itself.
//
// # Delivery semantics
//
// A worker calls consumer.SubscribeExactlyOnce once for each topic, and its promises are those of
// package consumer; its drainers' are those of package outbox. It ends as a whole: when a
// subscription or an actor ends, the others drain, and what ended first is the error. What is
// drained is closed afterwards, in this order: subscriptions and actors, drainers, what was
// deferred, connections.
package worker
