// Package bench measures publishing, consuming, exactly-once handling and the outbox on given
// servers.
//
// [Run] makes a stream with a fresh name, publishes events, and starts worker processes that
// consume them ([Work]). Each event has its number in its data, and each process counts which
// events it has run: one that is missing, or that was handled twice where it may not be, fails the
// bench.
//
// # Open loop
//
// With a rate, event i is due at t0 + i / rate, whatever became of those before it. The due time
// travels in the event, and all latencies but those within a worker are counted from it: when the
// publisher or a server stalls, each event that was due meanwhile shows how long it waited. How
// late the publisher itself was is a latency of its own, from due to sent. A measurement that
// completes less than 98 % of the rate is saturated: its latencies grow for as long as it runs, and
// are left out.
//
// Without a rate, events are published first, and it is measured how fast they are consumed; or, in
// the stage publish, how fast they are published. An event is due at no time then, and there are
// latencies within a worker alone, under full load.
//
// # Clocks
//
// Due times are compared across processes by the clock of the machine on which all of them run. It
// must not be set meanwhile: a latency below zero is [ErrClock].
package bench
