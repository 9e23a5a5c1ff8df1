package journal

// heldEvents are the events that were delivered to a process and have not ended there, and those
// that have begun. Where the journal says nothing of deliveries, there are none.
type heldEvents struct {
	records  int // of arrivals and starts; they are numbered by it
	arrivals map[string]*arrival
	starts   map[string][]startedEvent // of each key, in their order
}

// arrival is when an event was delivered: first, since it last ended in the process, and last. The
// process lets go of what it was delivered when the consumer is made again, and says nothing of it:
// what it starts later was delivered again.
type arrival struct{ first, last int }

// startedEvent is a run that has begun.
type startedEvent struct {
	id             string
	order, arrived int
}

func (h *heldEvents) addArrival(r *Record) {
	h.records++
	a := h.arrivals[r.ID]
	if a == nil {
		a = &arrival{first: h.records}
		h.arrivals[r.ID] = a
	}
	a.last = h.records
}

func (h *heldEvents) addStart(r *Record) {
	h.records++
	s := startedEvent{id: r.ID, order: h.records}
	if a := h.arrivals[r.ID]; a != nil {
		s.arrived = a.first
	}
	h.starts[r.Key] = append(h.starts[r.Key], s)
}

func (h *heldEvents) removeEvent(id string) { delete(h.arrivals, id) }
