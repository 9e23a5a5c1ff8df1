package memory

// window remembers the message ids of what was stored lately.
type window struct {
	length int64 // in ns; not positive: remembers nothing
	seqs   map[string]uint64
	order  []known // oldest first
}

type known struct {
	id     string
	seq    uint64
	stored int64
}

func newWindow(length int64) *window { return &window{length: length, seqs: map[string]uint64{}} }

// find returns the sequence under which the id was stored within the window.
func (w *window) find(id string, now int64) (uint64, bool) {
	n := 0
	for n < len(w.order) && now-w.order[n].stored >= w.length {
		delete(w.seqs, w.order[n].id)
		n++
	}
	w.order = w.order[n:]
	seq, ok := w.seqs[id]
	return seq, ok
}

func (w *window) add(id string, seq uint64, stored int64) {
	if w.length <= 0 {
		return
	}
	w.seqs[id] = seq
	w.order = append(w.order, known{id: id, seq: seq, stored: stored})
}

func (w *window) clone() *window {
	out := newWindow(w.length)
	for _, k := range w.order {
		out.add(k.id, k.seq, k.stored)
	}
	return out
}
