package deferral

import "time"

// Observer is told what becomes of events. ObserveDeferral is called by several goroutines at once,
// and must not block. A nil Observer is told nothing.
type Observer interface{ ObserveDeferral(Observation) }

// Outcome is what became of events.
type Outcome string

// The outcomes.
const (
	// OutcomeImmediate: an event may run at once.
	OutcomeImmediate Outcome = "immediate"
	// OutcomeDeferred: an event is published for a summary.
	OutcomeDeferred Outcome = "deferred"
	// OutcomeIgnored: nothing was decided, for it was decided before (a retry, a repeat), or the
	// ID is another event's.
	OutcomeIgnored Outcome = "ignored"
	// OutcomeProcessed: a summary of so many events is done.
	OutcomeProcessed Outcome = "processed"
	// OutcomeRetry: a summary failed, and its events will be in another one.
	OutcomeRetry Outcome = "retry"
	// OutcomeProcessFailed: a deferred event is dead-lettered.
	OutcomeProcessFailed Outcome = "process_failed"
	// OutcomeConfigUpdated: Tracker.Update has changed the configuration.
	OutcomeConfigUpdated Outcome = "config_updated"
	// OutcomeError: something that deferral itself needs did not answer; it will be retried.
	OutcomeError Outcome = "error"
)

// Outcomes returns all outcomes.
func Outcomes() []Outcome {
	return []Outcome{
		OutcomeImmediate, OutcomeDeferred, OutcomeIgnored, OutcomeProcessed, OutcomeRetry, OutcomeProcessFailed, OutcomeConfigUpdated, OutcomeError,
	}
}

// Observation is one of them.
type Observation struct {
	Outcome Outcome
	// Key is that of the events, if they have one.
	Key string
	// Events is how many it is about.
	Events int
	// Overflow reports that an event ran at once, or was dead-lettered, although the limit was
	// reached: there are too many keys, or the bus does not take the event once more.
	Overflow bool
	// Took is how long the handler of a summary took.
	Took time.Duration
	// Err is why it failed.
	Err error
	// Config is the new one (OutcomeConfigUpdated).
	Config *Config
}

func (t *Tracker) observe(o Observation) {
	if t.options.Observer != nil {
		t.options.Observer.ObserveDeferral(o)
	}
}

// observeError logs and observes that something failed, which will be retried.
func (t *Tracker) observeError(what string, err error) {
	t.log.Warn(what, "error", err)
	t.observe(Observation{Outcome: OutcomeError, Err: err})
}
