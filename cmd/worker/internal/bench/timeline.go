package bench

import "time"

// timelineWidth is how long a moment of a timeline is.
const timelineWidth = int64(time.Millisecond)

// timeline counts what was completed in each millisecond. Its fields are exported for gob.
type timeline struct {
	// Begin is the first millisecond since 1970, and Counts follow from there.
	Begin  int64
	Counts []uint32
}

// add counts n at a time in nanoseconds since 1970.
func (t *timeline) add(nanoseconds int64, n uint32) {
	if n == 0 {
		return
	}
	at := nanoseconds / timelineWidth
	switch {
	case len(t.Counts) == 0:
		t.Begin = at
	case at < t.Begin:
		t.Counts = append(make([]uint32, t.Begin-at), t.Counts...)
		t.Begin = at
	}
	if missing := at - t.Begin - int64(len(t.Counts)) + 1; missing > 0 {
		t.Counts = append(t.Counts, make([]uint32, missing)...)
	}
	t.Counts[at-t.Begin] += n
}

// merge adds what another process has counted.
func (t *timeline) merge(other *timeline) {
	for i, n := range other.Counts {
		t.add((other.Begin+int64(i))*timelineWidth, n)
	}
}

// steadyRate is how many were completed per second, without the first and the last fortieth: a
// single stall at an end of a short measurement says little of the rate. Too few to tell is 0.
func (t *timeline) steadyRate() float64 {
	total := 0
	for _, n := range t.Counts {
		total += int(n)
	}
	first, last := total/40, total-1-total/40
	from, to := t.whenCompleted(first), t.whenCompleted(last)
	if last <= first || to <= from {
		return 0
	}
	return float64(last-first) / time.Duration((to-from)*timelineWidth).Seconds()
}

// whenCompleted is the millisecond in which completion i, from 0, was counted.
func (t *timeline) whenCompleted(i int) int64 {
	for at, n := range t.Counts {
		if i -= int(n); i < 0 {
			return t.Begin + int64(at)
		}
	}
	return t.Begin
}
