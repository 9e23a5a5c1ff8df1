package demo

import "time"

// processKill is the end of a worker process.
type processKill struct {
	pid int
	// sent is when it was about to be killed, gone when it was known to be dead.
	sent, gone time.Time
}

// markRecord is what a process knows of a mark: that it is stored.
type markRecord struct {
	id  string
	pid int
}

// effectTally has what the journal says.
type effectTally struct {
	events   map[string][]journalRecord // the effects of each event that was published
	marks    map[markRecord]bool
	losses   map[markRecord]int // claims that were taken over from a process that lived, or whose lease ended there
	strange  int                // effects of what never was
	done     int                // events that have an effect
	effects  int
	found    int // runs whose effect had been made before
	failures int
	copies   int
	late     int // how many losses were reported
	dead     int
}

func newEffectTally(ids []string) *effectTally {
	b := &effectTally{events: make(map[string][]journalRecord, len(ids)), marks: make(map[markRecord]bool, len(ids)), losses: make(map[markRecord]int)}
	for _, id := range ids {
		b.events[id] = nil
	}
	return b
}

func (b *effectTally) addRecords(rs []journalRecord) {
	for _, r := range rs {
		switch r.what {
		case effect:
			b.addEffect(r)
		case found:
			b.addFound(r)
		case failed:
			b.failures++
		case handled:
			b.marks[markRecord{r.id, r.pid}] = true
		case duplicate:
			b.copies++
		case lost:
			b.late++
			b.losses[markRecord{r.id, r.pid}]++
		case dead:
			b.dead++
		}
	}
}

func (b *effectTally) addEffect(r journalRecord) {
	b.effects++
	before, known := b.events[r.id]
	switch {
	case !known:
		b.strange++
		return
	case len(before) == 0:
		b.done++
	}
	b.events[r.id] = append(before, r)
}

// addFound: whoever made the effect was killed before it could write that down.
func (b *effectTally) addFound(r journalRecord) {
	b.found++
	if before, known := b.events[r.id]; known && len(before) == 0 {
		b.done++
		b.events[r.id] = []journalRecord{r}
	}
}

// missingIDs names some of the events that have no effect.
func (b *effectTally) missingIDs(ids []string, limit int) (names []string) {
	for _, id := range ids {
		if len(b.events[id]) == 0 && len(names) < limit {
			names = append(names, id)
		}
	}
	return names
}

// countUnexplained counts the repeats that no kill, and no lost claim, explains, and returns the
// most that follow from one kill. A kill explains at most as many as its process may have begun
// and not marked.
func (b *effectTally) countUnexplained(kills []processKill) (unexplained, most int) {
	byPID := make(map[int][]*repeatCause, len(kills))
	for _, k := range kills {
		byPID[k.pid] = append(byPID[k.pid], &repeatCause{processKill: k})
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
	processKill

	repeats int
}

// countRepeats counts the unexplained effects of one event, which are in the order in which they
// were made. Each one that was cut off from its mark explains one that follows the kill.
func (b *effectTally) countRepeats(effects []journalRecord, kills map[int][]*repeatCause) (unexplained int) {
	lost := make(map[int]int)  // effects of each process that its lost claims may be of
	var explain []*repeatCause // kills that cut off effects which no repeat has followed yet
	for i, e := range effects {
		if i > 0 {
			if len(explain) > 0 && !e.at.Before(explain[0].sent) {
				explain[0].repeats++
				explain = explain[1:]
			} else {
				unexplained++
			}
		}
		if b.marks[markRecord{e.id, e.pid}] {
			continue
		}
		if lost[e.pid]++; lost[e.pid] <= b.losses[markRecord{e.id, e.pid}] {
			explain = append(explain, &repeatCause{})
			continue
		}
		for _, k := range kills[e.pid] {
			if !e.at.After(k.gone) {
				explain = append(explain, k)
				break
			}
		}
	}
	return unexplained
}
