package journal

import (
	"cmp"
	"slices"
	"time"
)

// GroupDisorder is what FindGroupDisorder finds: events, by their ids.
type GroupDisorder struct {
	// Inversions had their first effect after a later event of their key had its own.
	Inversions []string
	// Overlaps began while another process ran an event of their key, and nothing explains it.
	Overlaps []string
}

// FindGroupDisorder finds the events of a key that were out of order over all processes, in
// records in the order in which they were written. Spans say where events lie: one is later than
// another if its first copy is. Events without an effect are left out. explains reports whether
// there is a reason for a process to have run beside its successor in a time, such as that it was
// frozen; kills end the runs of a process.
func FindGroupDisorder(rs []Record, spans map[string]Span, kills []Kill, explains func(pid int, from, to time.Time) bool) GroupDisorder {
	g := groupCheck{running: make(map[string][]*Record), keys: make(map[string]string), first: make(map[string]int), kills: kills, explains: explains}
	for i := range rs {
		g.add(i, &rs[i])
	}
	return GroupDisorder{Inversions: g.findInversions(spans), Overlaps: g.overlaps}
}

type groupCheck struct {
	running  map[string][]*Record // starts of runs that go on, by key
	keys     map[string]string    // of events that have begun
	first    map[string]int       // the record of an event's first effect
	kills    []Kill
	explains func(pid int, from, to time.Time) bool
	overlaps []string
}

func (g *groupCheck) add(i int, r *Record) {
	switch r.What {
	case Ready: // a new process, perhaps with an old id
		for key := range g.running {
			g.endRuns(key, func(s *Record) bool { return s.PID == r.PID })
		}
	case Start:
		g.addStart(r)
	case Effect, Found:
		if _, known := g.first[r.ID]; !known {
			g.first[r.ID] = i
		}
		g.endRun(r)
	case Succeeded, Failed, Deferred, Cancelled, Lost:
		g.endRun(r)
	}
}

func (g *groupCheck) addStart(r *Record) {
	g.keys[r.ID] = r.Key
	g.endRuns(r.Key, func(s *Record) bool { return g.wasKilled(s.PID, r.At) })
	for _, other := range g.running[r.Key] {
		if other.PID != r.PID && !g.explains(other.PID, other.At, r.At) && !g.explains(r.PID, r.At, r.At) {
			g.overlaps = append(g.overlaps, r.ID)
		}
	}
	g.running[r.Key] = append(g.running[r.Key], r)
}

func (g *groupCheck) wasKilled(pid int, before time.Time) bool {
	return slices.ContainsFunc(g.kills, func(k Kill) bool { return k.PID == pid && !k.Sent.After(before) })
}

func (g *groupCheck) endRun(r *Record) {
	g.endRuns(g.keys[r.ID], func(s *Record) bool { return s.PID == r.PID && s.ID == r.ID })
}

func (g *groupCheck) endRuns(key string, ended func(*Record) bool) {
	if runs := g.running[key]; len(runs) > 0 {
		g.running[key] = slices.DeleteFunc(runs, ended)
	}
}

// findInversions goes through the events of each key by their sequence.
func (g *groupCheck) findInversions(spans map[string]Span) (ids []string) {
	byKey := make(map[string][]string)
	for id := range g.first {
		if _, known := spans[id]; known {
			byKey[g.keys[id]] = append(byKey[g.keys[id]], id)
		}
	}
	for _, events := range byKey {
		slices.SortFunc(events, func(a, b string) int { return cmp.Compare(spans[a].First, spans[b].First) })
		earliest := -1 // first effect of the later events, from the end
		for _, id := range slices.Backward(events) {
			if earliest >= 0 && earliest < g.first[id] {
				ids = append(ids, id)
			}
			if earliest < 0 || g.first[id] < earliest {
				earliest = g.first[id]
			}
		}
	}
	slices.Sort(ids)
	return ids
}
