package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/ndjson"
)

// ErrNotStored is returned by Import when lines are not on the bus, or not known to be.
var ErrNotStored = ndjson.ErrNotStored

// maxLineBytes is the longest line: the largest message that NATS takes, in base64, with headers.
const maxLineBytes = 96 << 20

// ImportOptions of Import. The zero value means the defaults.
type ImportOptions struct {
	// Ordered publishes the next line when the one before is confirmed, so that the order is that
	// of the file, whatever fails. It is several times as slow. By default only lines that have one
	// key wait for each other: of the others, one may be stored behind later ones when the bus
	// fails.
	Ordered bool
	// Partitions is in how many partitions the topics of the lines are published, each event in
	// that of its key. It is 0 to bus.MaxPartitions. Default: 0, where the line says.
	Partitions int
	// Prepare is called before the first event of each topic is published, for example to make its
	// stream. The lines of a topic for which it fails are refused. Nil: nobody is.
	Prepare func(ctx context.Context, topic string) error
	// Patience is how long publishing is tried again while nothing gets stored. Default: 30 s.
	Patience time.Duration
	// Refused is called for each line that cannot be stored, with its number, counted from 1. It is
	// called by two goroutines. Nil: nobody is.
	Refused func(line int, err error)
	// Progress is called after each batch. Nil: nobody is.
	Progress func(Imported)
	// ForceStop, once closed, gives up what the end of ctx leaves a few seconds for. Nil: never.
	ForceStop <-chan struct{}
}

// Imported is what became of the lines.
type Imported struct {
	// Stored lines are on the bus; Duplicates of them were there already.
	Stored     int `json:"stored"`
	Duplicates int `json:"duplicates"`
	// Refused lines can never be stored as they are.
	Refused int `json:"refused"`
}

// Import publishes lines of the format, each to the topic that it names, and returns when all are
// confirmed or refused. A line that is none, for example because it was cut in the middle, is
// refused with its number, and the others go on. It retries what may pass.
//
// ErrNotStored: some lines are not stored; the message says which. When ctx ends it reads no more,
// and gives what it has read five seconds. A read that does not return keeps a goroutine after ctx
// has ended, unless r has SetReadDeadline.
func Import(ctx context.Context, b bus.Publisher, r io.Reader, o *ImportOptions) (Imported, error) {
	opts := *cmp.Or(o, &ImportOptions{})
	if opts.Patience < 0 {
		return Imported{}, errors.New("import: ImportOptions.Patience is " + opts.Patience.String() + ": it must be 0 (30 s) or above")
	}
	if opts.Partitions != 0 {
		if err := bus.ValidPartitions(opts.Partitions); err != nil {
			return Imported{}, fmt.Errorf("import: ImportOptions.Partitions: %w", err)
		}
	}
	lines := &ndjson.Options{
		Parse: newParser(ctx, &opts), Order: ndjson.OrderKeys, MaxBytes: maxLineBytes, Patience: opts.Patience, Refused: opts.Refused, ForceStop: opts.ForceStop,
	}
	if opts.Ordered {
		lines.Order = ndjson.OrderAll
	}
	if opts.Progress != nil {
		lines.Progress = func(n ndjson.Published) { opts.Progress(Imported(n)) }
	}
	n, err := ndjson.Publish(ctx, b, "", r, lines)
	return Imported(n), err
}

// newParser returns what makes events of lines, and prepares each topic once.
func newParser(ctx context.Context, o *ImportOptions) func([]byte) (bus.Event, error) {
	prepared := map[string]error{}
	return func(line []byte) (bus.Event, error) {
		s, err := ParseLine(line)
		if err == nil && o.Partitions > 0 {
			s.Event = bus.ToPartition(s.Event, o.Partitions)
		}
		if err != nil || o.Prepare == nil {
			return s.Event, err
		}
		failed, known := prepared[s.Event.Topic]
		if !known {
			failed = o.Prepare(ctx, s.Event.Topic)
			prepared[s.Event.Topic] = failed
		}
		return s.Event, failed
	}
}
