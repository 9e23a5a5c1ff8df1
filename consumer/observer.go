package consumer

import (
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/flow"
)

// Observer is told how each delivery ended. Observe is called by one goroutine at a time, before
// the bus is told, and must not block. An Observer may be one of the optional interfaces beside it
// too (StoreObserver and the others); they are found by assertion on Options.Observer when the
// subscription begins, and what nobody is told of is not measured. Observers joins several. A panic
// of an observer is logged, at most once a minute, and changes nothing else.
type Observer interface{ Observe(Observation) }

// Observation describes the end of one delivery.
type Observation struct {
	// Outcome is how it ended.
	Outcome Outcome
	// At is the position of the event.
	At bus.Position
	// Key is what the store knows the event by. It is zero for what was skipped, and for a
	// duplicate that was recognised by its position alone.
	Key dedupe.Key
	// Attempt is the number of the run; 0 if there was none.
	Attempt int
	// Took is how long the run took.
	Took time.Duration
	// Err is what the handler returned.
	Err error
	// Reason is the class of why the event was dead-lettered, one of few: the part of the letter's
	// reason before the first colon, without numbers ("permanent", "failed", "crashed", "too old"),
	// or "other". Empty with any other outcome.
	Reason string
}

// Outcome says how a delivery ended.
type Outcome string

// The outcomes.
const (
	// OutcomeHandled: the handler succeeded, and the event is marked. Attempt is 0 if it was the
	// run of another event that handled this one as well (Options.HandledBeside).
	OutcomeHandled Outcome = "handled"
	// OutcomeDuplicate: the event was done before.
	OutcomeDuplicate Outcome = "duplicate"
	// OutcomeSkipped: it is no event of this group.
	OutcomeSkipped Outcome = "skipped"
	// OutcomeFailed: the handler failed; the event will be retried.
	OutcomeFailed Outcome = "failed"
	// OutcomeSnoozed: the handler asked to be called again later.
	OutcomeSnoozed Outcome = "snoozed"
	// OutcomeDeferred: it was throttled, or the receiver was unavailable: no attempt.
	OutcomeDeferred Outcome = "deferred"
	// OutcomeDead: the event is dead-lettered.
	OutcomeDead Outcome = "dead"
	// OutcomeDeadLetterPending: the dead letter could not be stored yet.
	OutcomeDeadLetterPending Outcome = "dead_letter_pending"
	// OutcomeHeld: another copy is being worked on, or it is not due.
	OutcomeHeld Outcome = "held"
	// OutcomeGivenBack: it never ran.
	OutcomeGivenBack Outcome = "given_back"
	// OutcomeLost: the claim is another process's by now (it was fenced off), or was forgotten.
	OutcomeLost Outcome = "lost"
	// OutcomeUnresolved: it is not known whether its transaction was committed. The event is
	// redelivered.
	OutcomeUnresolved Outcome = "unresolved"
)

// AnswerObserver is an Observer that is told when the bus has the answer. ObserveAnswer is called
// after the Observe of a delivery, by the same goroutine and before the next Observe, once the ack
// or nak was handed to the bus. It must not block. A nil err says that the connection has the
// answer, not that the server has: no bus confirms answers. With another err the answer was not
// sent, and the event will be redelivered. What is left unanswered, because it may be another
// process's by now, is not observed.
type AnswerObserver interface {
	ObserveAnswer(at bus.Position, err error)
}

// StoreObserver is an Observer that is told of each call of the dedupe store, also of those of a
// subscription that begins or could not begin. ObserveStoreCall is called by several goroutines at
// once, after the call has returned, and must not block.
type StoreObserver interface{ ObserveStoreCall(StoreCall) }

// StoreCall is one call of the dedupe store.
type StoreCall struct {
	// Operation is the name of the method, in lower case: "claim", "settle", "extend", "note",
	// "seen", "mark"; in mode Transactional "transact" and "probetransactions"; and for the
	// watermark "watermarks", "begin", "advance" and "replace".
	Operation string
	// Items is how many it was about.
	Items int
	// Took is how long it took; for "transact", without the handler.
	Took time.Duration
	// Err is why it failed as a whole; nil when it was answered, though items may be refused. The
	// error of a handler is none of a "transact", which then has undone what it did.
	Err error
}

// FetchObserver is an Observer that is told of each batch of deliveries that came from the bus,
// before any of them is handled, and of each failure to fetch. ObserveFetch is called by one
// goroutine at a time, and must not block.
type FetchObserver interface{ ObserveFetch(Fetch) }

// Fetch is one batch of deliveries.
type Fetch struct {
	// Wanted is how many were asked for, Events how many came: also more, for what an earlier call
	// asked for may come later.
	Wanted, Events int
	// Took is how long that took, waiting for events to be published included.
	Took time.Duration
	// Err is why fetching failed.
	Err error
}

// WatermarkObserver is an Observer that is told whenever the watermark was advanced in the store:
// everything up to at is settled. A store without watermarks has none to tell of. ObserveWatermark
// is called by one goroutine at a time, and must not block.
type WatermarkObserver interface{ ObserveWatermark(at bus.Position) }

// BatchObserver is an Observer that is told of each batch of a Handler of Batch, right before its
// BatchHandler is called. ObserveBatch is called by several goroutines at once, and must not block.
type BatchObserver interface{ ObserveBatch(BatchRun) }

// BatchRun is one call of a BatchHandler.
type BatchRun struct {
	// Size is how many events it has, Bytes how much data they have.
	Size, Bytes int
	// Filled is how long it was collected, from its first event.
	Filled time.Duration
	// End is what ended that.
	End BatchEnd
}

// PauseObserver is an Observer that is told whenever others have paused the subscription than
// before: by are the names given to PauseBy, none once it is resumed. ObservePause is called by one
// goroutine, once for each change and in their order, and must not block, nor wait for the end of
// the Subscription. PauseBy and ResumeBy do not wait for it.
type PauseObserver interface{ ObservePause(by []string) }

// LimitObserver is an Observer that is told how long each event waited for Options.Gates and
// Options.Limit before its handler was started, or it was given back (started is false). An event
// that waited for neither, which is for less than a millisecond, is not observed, unless one of
// them has refused it. ObserveLimitWait is called by several goroutines at once, right before the
// handler, and must not block.
type LimitObserver interface {
	ObserveLimitWait(waited time.Duration, started bool)
}

// CapacityObserver is an Observer that is told when the capacity of a gate of Options.Gates that is
// a flow.AdaptiveGate changes, such as that of a circuit breaker (Limit 0: open; 1 with a Reason:
// half-open; negative: closed), and at the start. Changes that follow each other faster than they
// are observed may be observed as one. ObserveCapacity is called by several goroutines at once, for
// one gate by one, and must not block. Gate is its index among those of Options.Gates that are a
// flow.AdaptiveGate, from 0.
type CapacityObserver interface {
	ObserveCapacity(gate int, c flow.Capacity)
}
