package journal

import (
	"slices"
	"time"
)

// Span is where the copies of an event lie in its stream.
type Span struct{ First, Last uint64 }

// Disorder is what FindDisorder finds: events, by their ids.
type Disorder struct {
	// Overlaps began while another run of their key, or of themselves, went on in the same process.
	Overlaps []string
	// Overtakes began before an earlier event of their key was done that had failed in the same
	// process, and was retried there afterwards.
	Overtakes []string
	// Inversions began before an earlier event of their key that had been delivered to the same
	// process before them, and began there afterwards.
	Inversions []string
}

// orderCheck goes through a journal. A process runs the events of a key one after the other, by
// their sequence. One that has failed keeps its place: nothing later of its key starts in this
// process until the event is done, or another process has it.
type orderCheck struct {
	spans map[string]Span
	calm  func(from, to time.Time) bool
	keys  map[string]string // of events that have begun

	running map[int]map[string]string   // by process and key
	waiting map[string]map[int]*failure // by event and process
	byKey   map[string]map[string]bool  // the waiting events of a key
	held    map[int]*heldEvents         // by process
	found   Disorder
}

// failure is a failed run whose event waits for the next one.
type failure struct {
	at       time.Time
	overtook []string // what has begun since
}

// FindDisorder finds the events that began out of order in a process, in records in the order in
// which they were written. Spans say where events lie: one is later than another if all its copies
// are. Calm reports whether there was no fault in a time: in one, another process may have claimed
// an event and died before its run began.
func FindDisorder(rs []Record, spans map[string]Span, calm func(from, to time.Time) bool) Disorder {
	c := &orderCheck{
		spans: spans, calm: calm, keys: make(map[string]string), running: make(map[int]map[string]string),
		waiting: make(map[string]map[int]*failure), byKey: make(map[string]map[string]bool), held: make(map[int]*heldEvents),
	}
	for i := range rs {
		c.add(&rs[i])
	}
	return c.found
}

func (c *orderCheck) add(r *Record) {
	switch r.What {
	case Ready: // a new process, perhaps with an old id
		c.running[r.PID] = make(map[string]string)
		delete(c.held, r.PID)
	case Arrived:
		c.heldBy(r.PID).addArrival(r)
	case Start:
		c.addStart(r)
	case Failed:
		c.endRun(r)
		c.addFailure(r)
	case Effect, Found, Succeeded, Deferred, Cancelled:
		c.endRun(r)
	case Nacked:
		c.heldBy(r.PID).removeEvent(r.ID)
	case Handled, Dead, Lost, Duplicate:
		c.heldBy(r.PID).removeEvent(r.ID)
		c.stopWaiting(r.ID)
	}
}

func (c *orderCheck) addStart(r *Record) {
	c.keys[r.ID] = r.Key
	keys := c.running[r.PID]
	if keys == nil {
		keys = make(map[string]string)
		c.running[r.PID] = keys
	}
	if keys[r.Key] != "" {
		c.found.Overlaps = append(c.found.Overlaps, r.ID)
	}
	keys[r.Key] = r.ID
	c.found.Inversions = append(c.found.Inversions, c.findOvertaking(r)...)
	if f := c.waiting[r.ID][r.PID]; f != nil && len(f.overtook) > 0 && c.calm(f.at, r.At) {
		c.found.Overtakes = append(c.found.Overtakes, f.overtook...)
	}
	c.stopWaiting(r.ID)
	for earlier := range c.byKey[r.Key] {
		if f := c.waiting[earlier][r.PID]; f != nil && c.isLater(r.ID, earlier) {
			f.overtook = append(f.overtook, r.ID)
		}
	}
}

func (c *orderCheck) heldBy(pid int) *heldEvents {
	h := c.held[pid]
	if h == nil {
		h = &heldEvents{arrivals: make(map[string]*arrival), starts: make(map[string][]startedEvent)}
		c.held[pid] = h
	}
	return h
}

// findOvertaking returns the later events of its key that have begun in the process while the event
// that begins now waited there, although they were delivered after it.
func (c *orderCheck) findOvertaking(r *Record) (ids []string) {
	h := c.heldBy(r.PID)
	own := h.arrivals[r.ID]
	if own != nil {
		for _, s := range slices.Backward(h.starts[r.Key]) {
			if s.order < own.last {
				break
			}
			if s.arrived > own.last && c.isLater(s.id, r.ID) {
				ids = append(ids, s.id)
			}
		}
	}
	h.addStart(r)
	return ids
}

func (c *orderCheck) isLater(id, than string) bool {
	a, known := c.spans[id]
	b, known2 := c.spans[than]
	return known && known2 && b.Last < a.First
}

func (c *orderCheck) endRun(r *Record) {
	if key := c.keys[r.ID]; c.running[r.PID][key] == r.ID {
		delete(c.running[r.PID], key)
	}
}

func (c *orderCheck) addFailure(r *Record) {
	key := c.keys[r.ID]
	if c.byKey[key] == nil {
		c.byKey[key] = make(map[string]bool)
	}
	c.byKey[key][r.ID] = true
	c.waiting[r.ID] = map[int]*failure{r.PID: {at: r.At}}
}

// stopWaiting: the event is done, has begun again, or is another process's.
func (c *orderCheck) stopWaiting(id string) {
	delete(c.waiting, id)
	delete(c.byKey[c.keys[id]], id)
}
