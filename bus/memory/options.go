package memory

import (
	"cmp"
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
)

// Options of New. The zero value means the defaults.
type Options struct {
	// Streams are what the bus stores events in. None: one stream "events" that takes every topic.
	Streams []Stream
	// Now is the bus's clock, from which deadlines, ages and stored times are read. Nil: time.Now.
	// With a clock of its own the bus is for TryFetch: Fetch waits on the process's timers, and is
	// woken by calls, not by that clock.
	Now func() time.Time
}

// Stream configures where events are stored. Only Name and Topics are required.
type Stream struct {
	Name string
	// Topics that the stream takes; wildcards are allowed. No two streams may take the same topic.
	Topics []string
	// WorkQueue: an event is deleted once it was acknowledged or terminated. As on JetStream,
	// subscriptions may then not overlap, and new groups start at the earliest event.
	WorkQueue bool
	// MaxAge is how long an event is kept. Zero: unlimited.
	MaxAge time.Duration
	// MaxEvents is how many events are kept; the oldest go first. Zero: unlimited.
	MaxEvents int
	// MaxBytes is the largest event taken, attributes and headers included. Zero: 1 MiB, the
	// default of NATS.
	MaxBytes int
	// DuplicateWindow is how long the message ids of stored events are known. Zero: 2 minutes, the
	// default of JetStream. Negative: not at all.
	DuplicateWindow time.Duration
	// MaxUnsettled is how many deliveries of a group may be in flight at once. What was nacked with
	// a delay does not count while it waits. Zero: bus.DefaultMaxUnsettled.
	MaxUnsettled int
}

const (
	defaultMaxBytes        = 1 << 20
	defaultDuplicateWindow = 2 * time.Minute
)

func (o *Options) withDefaults() (Options, error) {
	out := *cmp.Or(o, &Options{})
	if len(out.Streams) == 0 {
		out.Streams = []Stream{{Name: "events", Topics: []string{">"}}}
	}
	streams := make([]Stream, len(out.Streams))
	for i, s := range out.Streams {
		if err := s.validate(); err != nil {
			return Options{}, err
		}
		for _, other := range streams[:i] {
			if err := s.apart(other); err != nil {
				return Options{}, err
			}
		}
		streams[i] = s.withDefaults()
	}
	out.Streams = streams
	return out, nil
}

func (s Stream) withDefaults() Stream {
	s.Topics = append([]string(nil), s.Topics...)
	s.MaxBytes = cmp.Or(s.MaxBytes, defaultMaxBytes)
	s.DuplicateWindow = cmp.Or(s.DuplicateWindow, defaultDuplicateWindow)
	s.MaxUnsettled = cmp.Or(s.MaxUnsettled, bus.DefaultMaxUnsettled)
	return s
}

func (s Stream) validate() error {
	if s.Name == "" {
		return fmt.Errorf("memory: Stream.Name is empty: name the stream of topics %q", s.Topics)
	}
	if len(s.Topics) == 0 {
		return fmt.Errorf("memory: Stream.Topics of %q is empty: name at least one, such as \">\"", s.Name)
	}
	for _, topic := range s.Topics {
		if err := bus.ValidPattern(topic); err != nil {
			return fmt.Errorf("memory: Stream.Topics of %q: %w", s.Name, err)
		}
	}
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"MaxAge", int64(s.MaxAge)},
		{"MaxEvents", int64(s.MaxEvents)},
		{"MaxBytes", int64(s.MaxBytes)},
		{"MaxUnsettled", int64(s.MaxUnsettled)},
	} {
		if f.value < 0 {
			return fmt.Errorf("memory: Stream.%s of %q is %d: it must be 0 (the default) or above", f.name, s.Name, f.value)
		}
	}
	return nil
}

// apart says why s and other cannot be streams of one bus.
func (s Stream) apart(other Stream) error {
	if s.Name == other.Name {
		return fmt.Errorf("memory: Stream.Name %q is used twice: names must differ", s.Name)
	}
	for _, a := range s.Topics {
		for _, b := range other.Topics {
			if bus.Overlap(a, b) {
				return fmt.Errorf("memory: Stream.Topics: %q of %q and %q of %q overlap: a topic has one stream",
					a, s.Name, b, other.Name)
			}
		}
	}
	return nil
}
