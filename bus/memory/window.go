package memory

// dedupeWindow remembers the message ids of what was stored lately.
type dedupeWindow struct {
	length int64 // in ns; not positive: remembers nothing
	seqs   map[string]uint64
	order  []knownID // oldest first
}

type knownID struct {
	id     string
	seq    uint64
	stored int64
}

func newDedupeWindow(length int64) *dedupeWindow {
	return &dedupeWindow{length: length, seqs: map[string]uint64{}}
}

// findID returns the sequence under which the id was stored within the window.
func (w *dedupeWindow) findID(id string, now int64) (uint64, bool) {
	n := 0
	for n < len(w.order) && now-w.order[n].stored >= w.length {
		delete(w.seqs, w.order[n].id)
		n++
	}
	w.order = w.order[n:]
	seq, ok := w.seqs[id]
	return seq, ok
}

func (w *dedupeWindow) addID(id string, seq uint64, stored int64) {
	if w.length <= 0 {
		return
	}
	w.seqs[id] = seq
	w.order = append(w.order, knownID{id: id, seq: seq, stored: stored})
}

func (w *dedupeWindow) cloneWindow() *dedupeWindow {
	out := newDedupeWindow(w.length)
	for _, k := range w.order {
		out.addID(k.id, k.seq, k.stored)
	}
	return out
}
