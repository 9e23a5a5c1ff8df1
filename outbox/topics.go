package outbox

import (
	"maps"
	"time"

	"github.com/onceish/onceish/internal/backoff"
)

// Topics that are held, and the bus while it does not answer, are tried again after 100 ms,
// doubling to 5 s.
const (
	holdBase = 100 * time.Millisecond
	holdMax  = 5 * time.Second
)

// topicHolds are the topics whose events cannot be stored now, for reasons that are
// not the events'.
type topicHolds map[string]*topicHold

// maxTopics is how many are remembered when their time is over.
const maxTopics = 1_000

// topicHold says until when a topic is not published to.
type topicHold struct {
	failures int
	until    time.Time
	err      error
	lastScan uint64 // the last scan that found one of its rows
}

func (t topicHolds) isHeld(topic string, now time.Time) bool {
	h := t[topic]
	return h != nil && now.Before(h.until)
}

// holdTopic holds a topic, for longer each time. Events that were in flight when it was held do not
// count again.
func (t topicHolds) holdTopic(topic string, err error, now time.Time) *topicHold {
	h := t[topic]
	if h == nil {
		if len(t) >= maxTopics {
			maps.DeleteFunc(t, func(_ string, h *topicHold) bool { return !now.Before(h.until) })
		}
		h = &topicHold{}
		t[topic] = h
	}
	h.err = err
	if !now.Before(h.until) {
		h.failures++
		h.until = now.Add(backoff.Doubled(holdBase, h.failures-1, holdMax))
	}
	return h
}

// busOutage is the time in which the bus does not answer. It costs no attempts. Single rows probe
// whether it is over.
type busOutage struct {
	failures int // 0: there is none
	since    time.Time
	until    time.Time // when to try again
	probing  bool
	err      error
}

// batchLimit returns how many rows may be published in one call.
func (o *busOutage) batchLimit(now time.Time, most int) int {
	switch {
	case o.failures == 0:
		return most
	case o.probing || now.Before(o.until):
		return 0
	}
	return 1
}

// recordFailure begins or prolongs an outage, and reports whether it has begun. Calls that began
// before do not count again.
func (o *busOutage) recordFailure(err error, now time.Time, probe bool) (begun bool) {
	if o.failures > 0 && !probe {
		return false
	}
	if o.failures == 0 {
		begun, o.since = true, now
	}
	o.failures++
	o.err, o.probing = err, false
	o.until = now.Add(backoff.Doubled(holdBase, o.failures-1, holdMax))
	return begun
}
