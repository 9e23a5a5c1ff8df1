package bus

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Position is a sequence in one incarnation of a stream, and when the event there was stored.
type Position struct {
	// Stream is the stream's name and time of creation.
	Stream   string
	Sequence uint64
	Stored   time.Time
}

// String returns the position as ParsePosition reads it: the stream, the sequence and the stored
// time in nanoseconds since 1970 (empty: unknown), separated by colons. The zero Position is empty.
func (w Position) String() string {
	if w == (Position{}) {
		return ""
	}
	stored := ""
	if !w.Stored.IsZero() {
		stored = strconv.FormatInt(w.Stored.UnixNano(), 10)
	}
	return fmt.Sprintf("%s:%d:%s", w.Stream, w.Sequence, stored)
}

// ParsePosition reads what Position.String has written. The empty string is the zero Position.
func ParsePosition(s string) (Position, error) {
	if s == "" {
		return Position{}, nil
	}
	invalid := fmt.Errorf("position %.128q is not of the form STREAM@CREATED:SEQUENCE:STORED, such as orders@1700000000000000000:17:1700000000000000001", s)
	last := strings.LastIndexByte(s, ':')
	if last < 0 {
		return Position{}, invalid
	}
	rest, stored := s[:last], s[last+1:]
	middle := strings.LastIndexByte(rest, ':')
	if middle < 0 {
		return Position{}, invalid
	}
	p := Position{Stream: rest[:middle]}
	var err error
	if p.Sequence, err = strconv.ParseUint(rest[middle+1:], 10, 64); err != nil {
		return Position{}, invalid
	}
	if stored != "" {
		ns, err := strconv.ParseInt(stored, 10, 64)
		if err != nil {
			return Position{}, invalid
		}
		p.Stored = time.Unix(0, ns).UTC()
	}
	return p, nil
}

// Created is when the stream was created: of two incarnations of a stream, the later one is newer.
// It reports false if Stream does not say.
func (w Position) Created() (time.Time, bool) {
	at := strings.LastIndexByte(w.Stream, '@')
	ns, err := strconv.ParseInt(w.Stream[at+1:], 10, 64)
	if at < 0 || err != nil {
		return time.Time{}, false
	}
	return time.Unix(0, ns).UTC(), true
}

// In is for implementers of a bus. It returns why a cursor cannot resume at w in a stream that is
// this incarnation and whose last sequence is this: the stream was replaced since w was read.
func (w Position) In(stream string, last uint64) error {
	switch {
	case w.Stream != "" && w.Stream != stream:
		return fmt.Errorf("the stream is %q, and was %q when it was decided where to resume: decide again", stream, w.Stream)
	case w.Sequence > last:
		return fmt.Errorf("the stream %q ends at sequence %d, before %d, after which to resume: decide again", stream, last, w.Sequence)
	}
	return nil
}

// Covers reports whether what lies at p is done for a group whose watermark is w. The sequence
// alone does not say so: after a stream was restored from an older copy, sequences are used again.
// The stored time must not be later either. Where stored times have stepped back, events below w
// that were stored later are not covered; nothing that lies above w ever is.
func (w Position) Covers(p Position) bool {
	return w.Stream == p.Stream && p.Sequence <= w.Sequence && !p.Stored.After(w.Stored)
}
