package bench

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Bounds and precision of latencies.
const (
	shortestLatency = time.Microsecond
	longestLatency  = time.Hour
	latencyDigits   = 3
)

// step is a part of an event's way, from one moment to another.
type step struct{ From, To string }

// Steps, from the first moment to the last.
var (
	dueToSent         = step{"due", "sent"}
	dueToConfirmed    = step{"due", "confirmed"}
	dueToAdded        = step{"due", "added"}
	dueToHandler      = step{"due", "handler"}
	handlerToAcked    = step{"handler", "acked"}
	handlerToMarked   = step{"handler", "marked"}
	markedToAcked     = step{"marked", "acked"}
	stepsInTheirOrder = []step{dueToSent, dueToAdded, dueToConfirmed, dueToHandler, handlerToMarked, markedToAcked, handlerToAcked}
)

func (s step) String() string { return s.From + " to " + s.To }

// fromDue reports whether the step says how long an event waits, which grows with the length of a
// saturated measurement.
func (s step) fromDue() bool { return s.From == "due" }

// latency counts how long a step took, in nanoseconds. It is for one goroutine.
type latency struct{ histogram *hdrhistogram.Histogram }

func newLatency() *latency {
	return &latency{hdrhistogram.New(int64(shortestLatency), int64(longestLatency), latencyDigits)}
}

// record counts one more. Below zero is ErrClock.
func (l *latency) record(nanoseconds int64) error {
	if nanoseconds < 0 {
		return fmt.Errorf("%w: a latency is %v: keep it from being set while a bench runs, and run it again", ErrClock, time.Duration(nanoseconds))
	}
	if err := l.histogram.RecordValue(nanoseconds); err != nil {
		return fmt.Errorf("a latency of %v is more than the %v that are counted: %w", time.Duration(nanoseconds), longestLatency, err)
	}
	return nil
}

// merge adds what another process has counted.
func (l *latency) merge(other *latency) error {
	if dropped := l.histogram.Merge(other.histogram); dropped > 0 {
		return fmt.Errorf("%d latencies of a worker process are beyond %v", dropped, longestLatency)
	}
	return nil
}

// MarshalBinary writes the histogram, for gob too, as other HDR tools read it: V2, compressed, in
// base64.
func (l *latency) MarshalBinary() ([]byte, error) {
	return l.histogram.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
}

// UnmarshalBinary reads what MarshalBinary has written.
func (l *latency) UnmarshalBinary(text []byte) error {
	h, err := hdrhistogram.Decode(text)
	if err != nil {
		return fmt.Errorf("read a histogram: %w", err)
	}
	if h.LowestTrackableValue() != int64(shortestLatency) || h.HighestTrackableValue() != int64(longestLatency) || h.SignificantFigures() != latencyDigits {
		return fmt.Errorf("read a histogram: it counts from %d to %d ns with %d digits", h.LowestTrackableValue(), h.HighestTrackableValue(), h.SignificantFigures())
	}
	l.histogram = h
	return nil
}
