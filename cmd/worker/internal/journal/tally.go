package journal

import "time"

// Kill is the end of a worker process by SIGKILL.
type Kill struct {
	PID int
	// Sent is when it was about to be killed, Gone when it was known to be dead.
	Sent, Gone time.Time
}

// markRecord is what a process knows of a mark: that it is stored.
type markRecord struct {
	id  string
	pid int
}

// Tally counts what a journal says. It is for one goroutine.
type Tally struct {
	// Done events have an effect.
	Done int
	// Effects are all that were made, those of events that never were included.
	Effects int
	// Found are runs whose effect an earlier run had made.
	Found int
	// Failures are runs that failed.
	Failures int
	// Duplicates are deliveries that were recognised.
	Duplicates int
	// LostClaims are claims that were taken over from a process that lived, or whose lease ended
	// there.
	LostClaims int
	// DeadLettered events were given up.
	DeadLettered int

	events  map[string][]Record // the effects of each event that was published
	marks   map[markRecord]bool
	losses  map[markRecord]int // LostClaims by event and process
	strange int                // effects of events that never were
}

// NewTally returns a tally of the events with these ids.
func NewTally(ids []string) *Tally {
	b := &Tally{events: make(map[string][]Record, len(ids)), marks: make(map[markRecord]bool, len(ids)), losses: make(map[markRecord]int)}
	for _, id := range ids {
		b.events[id] = nil
	}
	return b
}

// Add counts records, which come in the order in which they were written.
func (b *Tally) Add(rs []Record) {
	for _, r := range rs {
		switch r.What {
		case Effect:
			b.addEffect(r)
		case Found:
			b.addFound(r)
		case Failed:
			b.Failures++
		case Handled:
			b.marks[markRecord{r.ID, r.PID}] = true
		case Duplicate:
			b.Duplicates++
		case Lost:
			b.LostClaims++
			b.losses[markRecord{r.ID, r.PID}]++
		case Dead:
			b.DeadLettered++
		}
	}
}

func (b *Tally) addEffect(r Record) {
	b.Effects++
	before, known := b.events[r.ID]
	switch {
	case !known:
		b.strange++
		return
	case len(before) == 0:
		b.Done++
	}
	b.events[r.ID] = append(before, r)
}

// addFound: whoever made the effect was killed before it could write that down.
func (b *Tally) addFound(r Record) {
	b.Found++
	if before, known := b.events[r.ID]; known && len(before) == 0 {
		b.Done++
		b.events[r.ID] = []Record{r}
	}
}

// Missing names the first events of ids that have no effect, at most limit.
func (b *Tally) Missing(ids []string, limit int) (names []string) {
	for _, id := range ids {
		if len(b.events[id]) == 0 && len(names) < limit {
			names = append(names, id)
		}
	}
	return names
}

// CountUnexplained counts the repeats that no kill, and no lost claim, explains, and returns the
// most that follow from one kill. A kill explains at most as many as its process may have started
// and not marked: its concurrency.
func (b *Tally) CountUnexplained(kills []Kill, concurrency int) (unexplained, most int) {
	byPID := make(map[int][]*repeatCause, len(kills))
	for _, k := range kills {
		byPID[k.PID] = append(byPID[k.PID], &repeatCause{Kill: k})
	}
	unexplained = b.strange
	for _, effects := range b.events {
		if len(effects) > 1 {
			unexplained += b.countRepeats(effects, byPID)
		}
	}
	for _, of := range byPID {
		for _, k := range of {
			most = max(most, k.repeats)
			unexplained += max(0, k.repeats-concurrency)
		}
	}
	return unexplained, most
}

// repeatCause is a kill, and how many repeats follow from it; without one it is a lost claim.
type repeatCause struct {
	Kill

	repeats int
}

// countRepeats counts the unexplained effects of one event, which are in the order in which they
// were made. Each one that was cut off from its mark explains one that follows the kill.
func (b *Tally) countRepeats(effects []Record, kills map[int][]*repeatCause) (unexplained int) {
	lost := make(map[int]int)  // effects of each process that its lost claims may be of
	var explain []*repeatCause // kills that cut off effects which no repeat has followed yet
	for i, e := range effects {
		if i > 0 {
			if len(explain) > 0 && !e.At.Before(explain[0].Sent) {
				explain[0].repeats++
				explain = explain[1:]
			} else {
				unexplained++
			}
		}
		if b.marks[markRecord{e.ID, e.PID}] {
			continue
		}
		if lost[e.PID]++; lost[e.PID] <= b.losses[markRecord{e.ID, e.PID}] {
			explain = append(explain, &repeatCause{})
			continue
		}
		for _, k := range kills[e.PID] {
			if !e.At.After(k.Gone) {
				explain = append(explain, k)
				break
			}
		}
	}
	return unexplained
}
