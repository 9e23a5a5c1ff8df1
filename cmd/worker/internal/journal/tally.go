package journal

import (
	"slices"
	"time"
)

// processEvent is an event in a process.
type processEvent struct {
	id  string
	pid int
}

// effectRecord is an effect, and what became of it.
type effectRecord struct {
	Record

	begun  time.Time // its run, as far as the journal says so
	marked bool
	lost   *Loss // nil: its claim was not lost
}

// Tally counts what a journal says. It is for one goroutine.
type Tally struct {
	// Done events have an effect.
	Done int
	// Runs that have begun, where the journal says so, and the largest number of an attempt.
	Runs, MaxAttempt int
	// Effects are all that were made, those of events that never were included.
	Effects int
	// Found are runs whose effect an earlier run had made.
	Found int
	// Failures are runs that failed, Cancelled those that were cancelled before their effect.
	Failures, Cancelled int
	// Duplicates are deliveries that were recognised.
	Duplicates int
	// LostClaims are claims that were taken over from a process that lived, or whose lease ended
	// there.
	LostClaims int
	// DeadLettered events were given up.
	DeadLettered int

	events  map[string][]*effectRecord // the effects of each event that was published
	latest  map[processEvent]*effectRecord
	begun   map[processEvent]Record // the latest start
	early   map[processEvent]*Loss  // of claims that were lost before their effect
	losses  []*Loss
	dead    map[string]int
	marked  map[string]bool // events whose mark is known to be stored, done or dead
	reruns  []Record        // starts after that
	strange []string        // effects of events that never were
}

// NewTally returns a tally of the events with these ids.
func NewTally(ids []string) *Tally {
	b := &Tally{
		events: make(map[string][]*effectRecord, len(ids)), latest: make(map[processEvent]*effectRecord, len(ids)),
		begun: make(map[processEvent]Record), early: make(map[processEvent]*Loss), dead: make(map[string]int),
		marked: make(map[string]bool),
	}
	for _, id := range ids {
		b.events[id] = nil
	}
	return b
}

// Add counts records, which come in the order in which they were written.
func (b *Tally) Add(rs []Record) {
	for _, r := range rs {
		of := processEvent{r.ID, r.PID}
		switch r.What {
		case Start:
			b.addStart(of, r)
		case Effect:
			b.addEffect(of, r)
		case Found:
			b.addFound(of, r)
		case Failed:
			b.Failures++
		case Cancelled:
			b.Cancelled++
		case Handled:
			b.addMark(of)
			b.marked[r.ID] = true
		case Duplicate:
			b.Duplicates++
		case Lost:
			b.addLoss(of, r)
		case Dead:
			b.DeadLettered++
			b.dead[r.ID]++
			b.marked[r.ID] = true
		}
	}
}

func (b *Tally) addStart(of processEvent, r Record) {
	b.Runs++
	b.MaxAttempt = max(b.MaxAttempt, r.Attempt)
	b.begun[of] = r
	if b.marked[r.ID] {
		b.reruns = append(b.reruns, r)
	}
	delete(b.early, of)
}

func (b *Tally) addEffect(of processEvent, r Record) {
	b.Effects++
	before, known := b.events[r.ID]
	switch {
	case !known:
		b.strange = append(b.strange, r.ID)
		return
	case len(before) == 0:
		b.Done++
	}
	e := &effectRecord{Record: r, lost: b.early[of], begun: r.At}
	if begun, known := b.begun[of]; known {
		e.begun = begun.At
	}
	delete(b.early, of)
	b.latest[of] = e
	b.events[r.ID] = append(before, e)
}

// addFound: whoever made the effect was killed before it could write that down.
func (b *Tally) addFound(of processEvent, r Record) {
	b.Found++
	if before, known := b.events[r.ID]; known && len(before) == 0 {
		b.Done++
		e := &effectRecord{Record: r}
		b.latest[of] = e
		b.events[r.ID] = []*effectRecord{e}
	}
}

func (b *Tally) addMark(of processEvent) {
	if e := b.latest[of]; e != nil {
		e.marked = true
	}
}

// addLoss: the claim was that of the latest effect that is not settled, or of a run that may still
// make one.
func (b *Tally) addLoss(of processEvent, r Record) {
	b.LostClaims++
	l := &Loss{ID: r.ID, PID: r.PID, From: r.At, At: r.At}
	if begun, known := b.begun[of]; known {
		l.From = begun.At
	}
	b.losses = append(b.losses, l)
	if e := b.latest[of]; e != nil && !e.marked && e.lost == nil {
		e.lost = l
		return
	}
	b.early[of] = l
}

// IsDone reports whether the event has an effect.
func (b *Tally) IsDone(id string) bool { return len(b.events[id]) > 0 }

// IsDead reports whether the event was given up.
func (b *Tally) IsDead(id string) bool { return b.dead[id] > 0 }

// Losses are the lost claims, in the order in which they were written down.
func (b *Tally) Losses() []Loss {
	out := make([]Loss, 0, len(b.losses))
	for _, l := range b.losses {
		out = append(out, *l)
	}
	return out
}

// Missing names the first events of ids that have no effect, at most limit.
func (b *Tally) Missing(ids []string, limit int) (names []string) {
	for _, id := range ids {
		if !b.IsDone(id) && len(names) < limit {
			names = append(names, id)
		}
	}
	return slices.Clip(names)
}
