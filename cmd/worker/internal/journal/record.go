package journal

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// What a record is about. The last four are outcomes of consumer.Observation.
const (
	Ready      = "ready"      // the process has subscribed; the ID is "-"
	Arrived    = "arrived"    // the bus has delivered the event
	Nacked     = "nacked"     // the delivery was given back: the event is to be redelivered
	Start      = "start"      // a run has begun
	Effect     = "effect"     // the handler's effect was made; the run ends
	Found      = "found"      // an earlier run had made the effect, and it was not made again
	Succeeded  = "succeeded"  // the handler succeeded, and its effect is looked for elsewhere; the run ends
	Failed     = "failed"     // the handler failed; the run ends
	Deferred   = "deferred"   // the handler's receiver is away or too busy; the run ends
	Cancelled  = "cancelled"  // the handler was cancelled before its effect; the run ends
	Standstill = "standstill" // the process stood still; the ID says for how long
	Handled    = "handled"    // the effect's mark is stored
	Duplicate  = "duplicate"  // a delivery was recognised as one of an event that is done
	Lost       = "lost"       // another process has taken the event over
	Dead       = "dead"       // the event was given up
)

var recordKinds = []string{Ready, Arrived, Nacked, Start, Effect, Found, Succeeded, Failed, Deferred, Cancelled, Standstill, Handled, Duplicate, Lost, Dead}

// Ends reports whether a record of this kind says how a delivery ended.
func Ends(what string) bool {
	return what == Handled || what == Duplicate || what == Lost || what == Dead
}

// Record is a line of a journal.
type Record struct {
	// What is one of the constants above, ID the event, PID the process that wrote the record.
	What, ID string
	PID      int
	// At is when it was written, by the machine's clock.
	At time.Time
	// Key and Attempt are those of the run; only Start has them. The key has no spaces.
	Key     string
	Attempt int
}

// String is the record as a line, its end included.
func (r Record) String() string {
	line := r.What + " " + r.ID + " " + strconv.Itoa(r.PID) + " " + strconv.FormatInt(r.At.UnixNano(), 10)
	if r.What == Start {
		line += " " + r.Key + " " + strconv.Itoa(r.Attempt)
	}
	return line + "\n"
}

// parseRecord reads a line. A process that is killed while it writes may leave a torn record,
// without its end, to which another process appends: what is torn was not done, and what
// follows it was.
func parseRecord(line string) (r Record, ok bool) {
	begin := 0
	for _, w := range recordKinds {
		begin = max(begin, strings.LastIndex(line, w+" "))
	}
	fields := strings.Split(line[begin:], " ")
	if !slices.Contains(recordKinds, fields[0]) || len(fields) != fieldCount(fields[0]) || fields[1] == "" {
		return Record{}, false
	}
	pid, err := strconv.Atoi(fields[2])
	at, err2 := strconv.ParseInt(fields[3], 10, 64)
	if err != nil || err2 != nil || pid < 1 || at < 1 {
		return Record{}, false
	}
	r = Record{What: fields[0], ID: fields[1], PID: pid, At: time.Unix(0, at)}
	if r.What == Start {
		r.Key = fields[4]
		if r.Attempt, err = strconv.Atoi(fields[5]); err != nil || r.Attempt < 1 {
			return Record{}, false
		}
	}
	return r, true
}

func fieldCount(what string) int {
	if what == Start {
		return 6
	}
	return 4
}
