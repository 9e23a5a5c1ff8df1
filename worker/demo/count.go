package demo

import "time"

// kill is the end of a worker process.
type kill struct {
	pid int
	// sent is when it was about to be killed, gone when it was known to be dead.
	sent, gone time.Time
}

// mark is what a process knows of a mark: that it is stored.
type mark struct {
	id  string
	pid int
}

// book has what the journal says.
type book struct {
	events   map[string][]record // the effects of each event that was published
	marks    map[mark]bool
	losses   map[mark]int // claims that were taken over from a process that lived, or whose lease ended there
	strange  int          // effects of what never was
	done     int          // events that have an effect
	effects  int
	found    int // runs whose effect had been made before
	failures int
	copies   int
	late     int // how many losses were reported
	dead     int
}

func newBook(ids []string) *book {
	b := &book{events: make(map[string][]record, len(ids)), marks: make(map[mark]bool, len(ids)), losses: make(map[mark]int)}
	for _, id := range ids {
		b.events[id] = nil
	}
	return b
}

func (b *book) add(rs []record) {
	for _, r := range rs {
		switch r.what {
		case effect:
			b.effect(r)
		case found:
			b.find(r)
		case failed:
			b.failures++
		case handled:
			b.marks[mark{r.id, r.pid}] = true
		case duplicate:
			b.copies++
		case lost:
			b.late++
			b.losses[mark{r.id, r.pid}]++
		case dead:
			b.dead++
		}
	}
}

func (b *book) effect(r record) {
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

// find: whoever made the effect was killed before it could write that down.
func (b *book) find(r record) {
	b.found++
	if before, known := b.events[r.id]; known && len(before) == 0 {
		b.done++
		b.events[r.id] = []record{r}
	}
}

// missing names some of the events that have no effect.
func (b *book) missing(ids []string, limit int) (names []string) {
	for _, id := range ids {
		if len(b.events[id]) == 0 && len(names) < limit {
			names = append(names, id)
		}
	}
	return names
}

// unexplained counts the repeats that no kill, and no lost claim, explains, and returns the
// most that follow from one kill. A kill explains at most as many as its process may have begun
// and not marked.
func (b *book) unexplained(kills []kill) (unexplained, most int) {
	byPID := make(map[int][]*explanation, len(kills))
	for _, k := range kills {
		byPID[k.pid] = append(byPID[k.pid], &explanation{kill: k})
	}
	unexplained = b.strange
	for _, effects := range b.events {
		if len(effects) > 1 {
			unexplained += b.repeats(effects, byPID)
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

// explanation is a kill, and how many repeats follow from it; without one it is a lost claim.
type explanation struct {
	kill

	repeats int
}

// repeats counts the unexplained effects of one event, which are in the order in which they were
// made. Each one that was cut off from its mark explains one that follows the kill.
func (b *book) repeats(effects []record, kills map[int][]*explanation) (unexplained int) {
	lost := make(map[int]int)  // effects of each process that its lost claims may be of
	var explain []*explanation // kills that cut off effects which no repeat has followed yet
	for i, e := range effects {
		if i > 0 {
			if len(explain) > 0 && !e.at.Before(explain[0].sent) {
				explain[0].repeats++
				explain = explain[1:]
			} else {
				unexplained++
			}
		}
		if b.marks[mark{e.id, e.pid}] {
			continue
		}
		if lost[e.pid]++; lost[e.pid] <= b.losses[mark{e.id, e.pid}] {
			explain = append(explain, &explanation{})
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
