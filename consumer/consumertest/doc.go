// Package consumertest is a test kit for handlers of your own: [Run] shows what becomes of events,
// and [CrashPoints] which effects repeat when processes crash, freeze and lose answers.
//
//	func TestChargesOnce(t *testing.T) {
//		var service *fakeService
//		setup := func() []bus.Event {
//			service = newFakeService()
//			return []bus.Event{{ID: "1", Topic: "order.placed", Data: []byte(`{"cents":500}`)}}
//		}
//		handler := func(ctx context.Context, e bus.Event) error { return charge(ctx, service, e) }
//		effects := func() map[string]int { return service.charges() }
//		if report := consumertest.CrashPoints(t, setup, handler, effects); !report.Once() {
//			t.Error(report)
//		}
//	}
//
// # What runs
//
// Handlers run in real subscriptions, on a bus and a store in memory, within a bubble of
// testing/synctest: leases, backoffs and time-outs take no real time. Each run has a bubble, a bus
// and a store of its own. Call the functions outside of a bubble. They leave no goroutine behind,
// and fail the test where they are used in a way that proves nothing.
//
// # Crash points
//
// A crash point is a step on the way of an event at which a process can die: its claim, the start
// and the end of its handler, each call that the handler makes by [Call] or [Transport], its mark,
// and its ack. CrashPoints finds the points in a run without faults. Then it makes one run for
// each, in which the process dies there: its subscription reaches neither bus nor store any more,
// and its handler goes no further until the effects of the run were read. Another process takes
// over after the lease. Further runs fail each call, lose the answer of each call and mark, freeze
// the process before each call until another one has handled the event, deliver and publish every
// event twice, and publish the events in reverse.
//
// A crash takes the whole process: with more than one event in flight, the handlers of the others
// stop at their next call, or where they return. That is why a process of the kit handles one event
// at a time, unless [Kit].Options say otherwise: what a report then says of a point is about the
// event of that point alone. A handler of consumer.Batch needs them to: set Concurrency to the size
// of its batches, and make each [Call] with the consumer.ItemContext of its event.
//
// # Delivery semantics
//
// The kit adds no promise to those of package consumer, and takes none away. A report without
// findings shows that the effects are made once at every point which the kit has seen. It says
// nothing of steps between two lines of a handler that makes no Call there.
package consumertest
