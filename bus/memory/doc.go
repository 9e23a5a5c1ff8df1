// Package memory is a bus in the process: for tests, simulations and benchmarks. It keeps nothing
// beyond the process.
//
// # Delivery semantics
//
// It is no cleverer than the real one, NATS JetStream. It delivers at least once: a delivery that
// was not answered before its deadline is redelivered, a nak brings the event back at once or after
// its delay, redeliveries go before new events. An answer names the event by its sequence, not
// the delivery: one that arrives late acks, naks or extends whatever delivery of that event is
// out by then, also somebody else's, and also after the group's cursor was deleted and recreated.
// An event that was nacked with a delay does not count against [Stream.MaxUnsettled] while it
// waits. A [Source.Fetch] leaves what it asked for and did not get open for the rest of a second,
// and what the bus hands over in that time waits in the Source, its deadline running. Events that
// retention drops are gone for groups that had not seen them; [Source.Info] counts them as lost.
//
// Publishing confirms at once, in the order of the sequences. An event whose [bus.MessageID] was
// stored within [Stream.DuplicateWindow], under whatever topic of the stream, is answered with that
// one's sequence.
//
// # Tests and simulations
//
// Nothing runs in the background: what time brings about happens in the next call. All waiting is
// in Fetch, on channels and timers, so the package works inside testing/synctest. A simulation that
// has a clock of its own gives it as [Options.Now] and takes deliveries with [Source.TryFetch],
// which never waits; the same calls in the same order then give the same answers.
//
// [Bus.Delete], [Bus.Purge], [Bus.DeleteGroup], [Bus.Recreate], [Bus.Snapshot] and
// [Snapshot.Restore] do to a stream what operators and disasters do to a real one.
package memory
