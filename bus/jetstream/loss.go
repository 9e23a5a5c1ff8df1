package jetstream

import (
	"sync"

	"github.com/nats-io/nats.go/jetstream"
)

// loss counts what a stream dropped before a group saw it. It compares where the stream begins now with how far the
// group had come when it last looked, so it may count what was delivered in between. Of streams that delete what is
// acknowledged, it only counts what lies before the stream's begin and beyond the group now.
type loss struct {
	mu        sync.Mutex
	delivered uint64 // when last looked
	counted   uint64 // all up to here is counted
	lost      uint64
}

func (l *loss) see(stream *jetstream.StreamInfo, consumer *jetstream.ConsumerInfo) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := l.delivered
	if seen == 0 || stream.Config.Retention != jetstream.LimitsPolicy {
		seen = consumer.Delivered.Stream
	}
	from := max(seen, l.counted)
	if first := stream.State.FirstSeq; first > from+1 {
		l.lost += first - 1 - from
		l.counted = first - 1
	}
	l.delivered = consumer.Delivered.Stream
	return l.lost
}
