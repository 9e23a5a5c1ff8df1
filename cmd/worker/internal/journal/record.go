package journal

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// What a record is about. All but Effect, Found and Failed are outcomes of consumer.Observation.
const (
	Effect    = "effect"    // the handler's effect was made
	Found     = "found"     // an earlier run had made the effect, and it was not made again
	Failed    = "failed"    // the handler failed
	Handled   = "handled"   // the effect's mark is stored
	Duplicate = "duplicate" // a delivery was recognised as one of an event that is done
	Lost      = "lost"      // another process has taken the event over
	Dead      = "dead"      // the event was given up
)

var recordKinds = []string{Effect, Found, Failed, Handled, Duplicate, Lost, Dead}

// Record is a line of a journal.
type Record struct {
	// What is one of the constants above, ID the event, PID the process that wrote the record.
	What, ID string
	PID      int
	// At is when it was written, by the machine's clock.
	At time.Time
}

// String is the record as a line, its end included.
func (r Record) String() string {
	return r.What + " " + r.ID + " " + strconv.Itoa(r.PID) + " " + strconv.FormatInt(r.At.UnixNano(), 10) + "\n"
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
	if len(fields) != 4 || fields[1] == "" || !slices.Contains(recordKinds, fields[0]) {
		return Record{}, false
	}
	pid, err := strconv.Atoi(fields[2])
	at, err2 := strconv.ParseInt(fields[3], 10, 64)
	if err != nil || err2 != nil || pid < 1 || at < 1 {
		return Record{}, false
	}
	return Record{What: fields[0], ID: fields[1], PID: pid, At: time.Unix(0, at)}, true
}
