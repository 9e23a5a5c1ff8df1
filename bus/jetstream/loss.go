package jetstream

import (
	"sync"

	"github.com/nats-io/nats.go/jetstream"
)

// loss counts, from above, what a stream dropped before a group saw it: at most what is gone from the stream since this
// was last looked at, and of that only what lies beyond where the group had come by then.
type loss struct {
	mu        sync.Mutex
	looked    bool
	delivered uint64 // how far the group had come
	gone      uint64 // how many sequences of the stream had no event any more
	lost      uint64
}

func (l *loss) see(stream *jetstream.StreamInfo, consumer *jetstream.ConsumerInfo) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	state := &stream.State
	before := max(state.FirstSeq, 1) - 1       // sequences before the stream's first
	inside := uint64(max(0, state.NumDeleted)) // #nosec G115 -- not negative
	seen := consumer.Delivered.Stream
	switch stream.Config.Retention {
	case jetstream.LimitsPolicy:
		if l.looked {
			seen = l.delivered
		}
	default:
		inside = 0 // These are deleted because they were acknowledged.
	}
	gone := before + inside
	if l.looked && gone > l.gone {
		l.lost += min(gone-l.gone, before-min(seen, before)+inside)
	} else if !l.looked {
		l.lost = before - min(seen, before)
	}
	l.looked, l.delivered, l.gone = true, consumer.Delivered.Stream, gone
	return l.lost
}
