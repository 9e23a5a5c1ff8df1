package demo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What a record tells of. All but effect, found and failed are the words of consumer.Observation.
const (
	effect    = "effect"    // the handler's effect was made
	found     = "found"     // the effect had been made by an earlier run, and was not made again
	failed    = "failed"    // the handler failed
	handled   = "handled"   // the effect's mark is stored
	duplicate = "duplicate" // a delivery was recognised as one of an event that is done
	lost      = "lost"      // another process has taken the event over
	dead      = "dead"      // an event was given up
)

var recordKinds = []string{effect, found, failed, handled, duplicate, lost, dead}

// journalRecord is a line of the journal.
type journalRecord struct {
	what, id string
	pid      int
	at       time.Time
}

func (r journalRecord) String() string {
	return r.what + " " + r.id + " " + strconv.Itoa(r.pid) + " " + strconv.FormatInt(r.at.UnixNano(), 10) + "\n"
}

// parseRecord reads a line. A process that is killed while it writes may leave a torn record,
// without its end, to which another process appends: what is torn was not done, and what
// follows it was.
func parseRecord(line string) (r journalRecord, ok bool) {
	begin := 0
	for _, w := range recordKinds {
		begin = max(begin, strings.LastIndex(line, w+" "))
	}
	fields := strings.Split(line[begin:], " ")
	if len(fields) != 4 || fields[1] == "" || !slices.Contains(recordKinds, fields[0]) {
		return journalRecord{}, false
	}
	pid, err := strconv.Atoi(fields[2])
	at, err2 := strconv.ParseInt(fields[3], 10, 64)
	if err != nil || err2 != nil || pid < 1 || at < 1 {
		return journalRecord{}, false
	}
	return journalRecord{what: fields[0], id: fields[1], pid: pid, at: time.Unix(0, at)}, true
}

// journalWriter is where a worker process writes. Safe for concurrent use.
type journalWriter struct{ file *os.File }

func openJournal(name string) (*journalWriter, error) {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0) //nolint:gosec // the demo's own file
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	return &journalWriter{f}, nil
}

// writeRecord appends a record by a single write. Its time is taken before: so whoever was killed
// has written all its records by the time it was dead.
func (j *journalWriter) writeRecord(what, id string) error {
	r := journalRecord{what: what, id: id, pid: os.Getpid(), at: time.Now()}
	if _, err := j.file.WriteString(r.String()); err != nil {
		return fmt.Errorf("write to the journal: %w", err)
	}
	return nil
}

func (j *journalWriter) closeFile() error { return j.file.Close() }

// journalReader reads a journal as it grows.
type journalReader struct {
	file *os.File
	buf  []byte
	rest []byte // of a line whose end is not there
}

func newJournalReader(f *os.File) *journalReader {
	return &journalReader{file: f, buf: make([]byte, 64<<10)}
}

// readNew returns what was written since the last call.
func (r *journalReader) readNew() (rs []journalRecord, err error) {
	for {
		n, err := r.file.Read(r.buf)
		r.rest = append(r.rest, r.buf[:n]...)
		for {
			line, rest, found := bytes.Cut(r.rest, []byte("\n"))
			if !found {
				break
			}
			if record, ok := parseRecord(string(line)); ok {
				rs = append(rs, record)
			}
			r.rest = rest
		}
		switch {
		case errors.Is(err, io.EOF):
			return rs, nil
		case err != nil:
			return rs, fmt.Errorf("read the journal: %w", err)
		}
	}
}
