package chaos

import (
	"maps"

	"github.com/onceish/onceish/cmd/worker/internal/journal"
)

// flights are the events of each process that have started, and whose mark is not known: running,
// or with an effect that is not marked.
type flights map[int]map[string]bool

func (fs flights) add(r *journal.Record) {
	switch r.What {
	case journal.Ready: // a new process, perhaps with an old id
		delete(fs, r.PID)
	case journal.Start:
		if fs[r.PID] == nil {
			fs[r.PID] = make(map[string]bool)
		}
		fs[r.PID][r.ID] = true
	case journal.Failed, journal.Deferred, journal.Cancelled, journal.Handled, journal.Lost, journal.Dead:
		delete(fs[r.PID], r.ID)
	}
}

// count is how many there are in some processes.
func (fs flights) count(pids []int) (n int) {
	for _, pid := range pids {
		n += len(fs[pid])
	}
	return n
}

// of are the events in flight in some processes.
func (fs flights) of(pids []int) map[string]bool {
	out := make(map[string]bool)
	for _, pid := range pids {
		maps.Copy(out, fs[pid])
	}
	return out
}
