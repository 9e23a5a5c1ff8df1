package mongo

import "sync"

// seqCounter is the last one that this process has assigned in an outbox. Safe for concurrent use.
type seqCounter struct {
	mu   sync.Mutex
	last int64
}

// sequences are those of the process, by outbox: queues that reach one outbox by two clients, whose
// clocks differ a little, assign one sequence. They are as many as there are outboxes, and stay.
var sequences sync.Map //nolint:gochecknoglobals // what is of the process cannot be of a Queue

// sequenceOf is that of the outbox whose leases have this identity.
func sequenceOf(outbox string) *seqCounter {
	kept, _ := sequences.LoadOrStore(outbox, &seqCounter{})
	s, _ := kept.(*seqCounter) // nothing else is stored
	return s
}

// assignSeqs gives each row a seq unless it has one: at least the time, and above all
// assigned before.
func (s *seqCounter) assignSeqs(rows []rowAddition, nanos int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range rows {
		if a.Seq == 0 {
			s.last = max(s.last+1, nanos)
			a.Seq = s.last
		}
	}
}
