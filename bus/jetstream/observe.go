package jetstream

import (
	"time"

	"github.com/onceish/onceish/bus"
)

// PublishObserver is told of one call of Publish: what was published, what became of each event,
// and how long the call took. It is called by many goroutines at once, before Publish returns, and
// must not block, nor change or keep what it is given.
type PublishObserver func(events []bus.Event, receipts []bus.Receipt, took time.Duration)

// ObservePublish makes f the observer of each later Publish, in place of the one before. Nil:
// nobody is told.
func (b *Bus) ObservePublish(f PublishObserver) {
	if f == nil {
		b.publishObserver.Store(nil)
		return
	}
	b.publishObserver.Store(&f)
}
