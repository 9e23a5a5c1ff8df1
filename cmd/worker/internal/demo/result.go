package demo

import (
	"fmt"
	"time"

	"github.com/onceish/onceish/cmd/worker/internal/journal"
)

// Result is what was counted. Its JSON is an object with these numbers.
type Result struct {
	// Published messages were stored by the bus, Unique events are in them.
	Published int `json:"published"`
	Unique    int `json:"unique"`
	// Deliveries to the workers, by the server's count.
	Deliveries int `json:"deliveries"`
	// Duplicates are deliveries that were recognised and acknowledged without a run.
	Duplicates int `json:"duplicates"`
	// Failures are runs whose handler failed.
	Failures int `json:"failures"`
	// Kills of worker processes.
	Kills int `json:"kills"`
	// Atomic reports whether effects were changes of documents with their marks.
	Atomic bool `json:"atomic,omitempty"`
	// Effects are lines in the journal, or changes of documents as those have counted them;
	// Repeated those beyond the first of each event.
	Effects  int `json:"effects"`
	Repeated int `json:"repeated"`
	// RepeatedUnexplained are the repeats that do not come from a kill between an effect and its
	// mark. With Atomic there is nothing between these: it is all of them.
	RepeatedUnexplained int `json:"repeated_unexplained"`
	// MostPerKill is the largest number of repeats that follow from one kill. A kill explains at
	// most as many as a worker process has slots, 16: more are unexplained.
	MostPerKill int `json:"most_per_kill"`
	// FoundMade are runs, with Atomic, that found the effect made by a run before them, and so
	// changed nothing.
	FoundMade int `json:"found_made,omitempty"`
	// Lost events have no effect.
	Lost int `json:"lost"`
	// Seconds from the first message until everything was settled.
	Seconds float64 `json:"seconds"`
	// EventsPerSecond are Unique by Seconds.
	EventsPerSecond float64 `json:"events_per_second"`

	late, dead int
}

func newResult(p *demoPlan, b *journal.Tally, kills []journal.Kill, published, deliveries int, took time.Duration) Result {
	unexplained, most := b.CountUnexplained(kills, concurrency)
	return Result{
		Published: published, Unique: len(p.ids), Deliveries: deliveries, Duplicates: b.Duplicates, Failures: b.Failures, Kills: len(kills),
		Effects: b.Effects, Repeated: b.Effects - b.Done, RepeatedUnexplained: unexplained, MostPerKill: most, FoundMade: b.Found, Lost: len(p.ids) - b.Done,
		Seconds: took.Seconds(), EventsPerSecond: float64(len(p.ids)) / max(took.Seconds(), 1e-3),
		late: b.LostClaims, dead: b.DeadLettered,
	}
}

// recountDocuments has documents tell what the effects are, in place of the journal: in that, an
// effect is missing whose process was killed before it could write it down.
func (r *Result) recountDocuments(ids []string, effects map[string]int) {
	r.Atomic, r.Effects, r.Lost = true, 0, 0
	for _, n := range effects {
		r.Effects += n
	}
	for _, id := range ids {
		if effects[id] == 0 {
			r.Lost++
		}
	}
	r.Repeated = r.Effects - (len(ids) - r.Lost)
	r.RepeatedUnexplained, r.MostPerKill = r.Repeated, 0
}

// Err is ErrBroken if anything is lost, or repeated without a reason.
func (r Result) Err() error {
	if r.Lost == 0 && r.RepeatedUnexplained == 0 {
		return nil
	}
	return fmt.Errorf("%w: %d of %d events lost, %d effects repeated without a reason", ErrBroken, r.Lost, r.Unique, r.RepeatedUnexplained)
}
