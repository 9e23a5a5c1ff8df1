package memory

import (
	"cmp"
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/outbox"
)

// Options of New. The zero value means the defaults.
type Options struct {
	// Partitions is their number. Zero: outbox.DefaultPartitions. At most 65,536.
	Partitions int
	// MaxBytes is the largest event that Add takes, by outbox.Size. Zero: 1 MiB, the
	// default of NATS.
	MaxBytes int
	// Keep is how long sent rows are kept. Zero: 3 days.
	Keep time.Duration
	// MaxSent is how many sent rows are kept; the oldest go first. Zero: 100,000.
	MaxSent int
	// Headers are what the context of an Add adds to the headers of its events, such as trace
	// context. Nil: nothing.
	Headers bus.ContextHeaders
	// Now is the store's clock. It must not go back, and is called with the store locked.
	// Nil: time.Now.
	Now func() time.Time
}

func (o *Options) withDefaults() (Options, error) {
	v := *cmp.Or(o, &Options{})
	for _, f := range []struct {
		name  string
		value int64
		most  int64
	}{
		{"Partitions", int64(v.Partitions), 1 << 16},
		{"MaxBytes", int64(v.MaxBytes), 1 << 30},
		{"Keep", int64(v.Keep), int64(10 * 365 * 24 * time.Hour)},
		{"MaxSent", int64(v.MaxSent), 1 << 30},
	} {
		if f.value < 0 || f.value > f.most {
			return v, fmt.Errorf("memory outbox: Options.%s is %d: it must be from 0 (the default) to %d", f.name, f.value, f.most)
		}
	}
	v.Partitions = cmp.Or(v.Partitions, outbox.DefaultPartitions)
	v.MaxBytes = cmp.Or(v.MaxBytes, 1<<20)
	v.Keep = cmp.Or(v.Keep, 3*24*time.Hour)
	v.MaxSent = cmp.Or(v.MaxSent, 100_000)
	if v.Now == nil {
		v.Now = time.Now
	}
	return v, nil
}
