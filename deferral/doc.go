// Package deferral lets the first events of a key run at once, and sums up the others: one alert
// now, and a summary of 240 more in five minutes.
//
//	tracker, err := deferral.Open(ctx, bus, store, "pager", deferral.Config{
//		Rate:     flow.Rate{Limit: 5, Per: time.Minute, Strategy: flow.FixedWindow},
//		Interval: 5 * time.Minute,
//	}, summarize, nil)
//
// A [Tracker] stands before the handler of a subscription ([Tracker.Apply]), or is asked without
// one ([Tracker.Track]). Events of a key up to a limit run at once. The others are deferred:
// published to a topic of the group, "deferred.<group>", under their own id, and marked. Once an
// interval, counted from the first deferred event, a second subscription ([Tracker.Run]) hands them
// by key to a [Handler], in the order in which they were deferred.
//
// # Delivery semantics
//
// Each event runs at once or is in a summary, and is in one summary that is done. What decides is
// kept in the row of the event before anything is done about it (dedupe.Noter): a retry, a repeat
// and another process find the same decision. A crash between decision and note may count an event
// twice against the limit.
//
// While a key has deferred events its later ones are deferred too, whatever the limit says: else
// they would overtake. Each process knows which keys have some by reading the topic as it grows.
// What another process has just deferred may be known a moment later, so over processes an event
// may overtake within that moment.
//
// A summary is claimed like any event: its first event by the subscription, the others beside it. A
// crash between a summary and its marks repeats it, or its first event if the others were marked.
// After a second crash its events are summed up one by one, so that one which kills its process
// ends alone. With Options.Session one process of the group makes summaries at a time.
//
// A summary that fails is retried with backoff. An error counts against its first event, whose last
// attempt is for it alone; then it is dead-lettered: on the topic of deferred events, under which
// the store knows it, with its own topic in the header [HeaderTopic]. A redrive has it summed up.
//
//	            ┌ immediate: noted → runs → marked
//	event ─ limit
//	            └ deferred: noted → stored → marked … interval …
//	                        claimed with its key → summed up → marked
package deferral
