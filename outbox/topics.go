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

// topics are those whose events cannot be stored now, for reasons that are not the events'.
type topics map[string]*hold

// maxTopics is how many are remembered when their time is over.
const maxTopics = 1_000

// hold is a topic that waits.
type hold struct {
	failures int
	until    time.Time
	err      error
	seen     uint64 // the last walk that came across one of its rows
}

func (t topics) held(topic string, now time.Time) bool {
	h := t[topic]
	return h != nil && now.Before(h.until)
}

// fail holds a topic, for longer each time. What was on its way when it was held does
// not count again.
func (t topics) fail(topic string, err error, now time.Time) *hold {
	h := t[topic]
	if h == nil {
		if len(t) >= maxTopics {
			maps.DeleteFunc(t, func(_ string, h *hold) bool { return !now.Before(h.until) })
		}
		h = &hold{}
		t[topic] = h
	}
	h.err = err
	if !now.Before(h.until) {
		h.failures++
		h.until = now.Add(backoff.Doubled(holdBase, h.failures-1, holdMax))
	}
	return h
}

// outage is the time in which the bus does not answer. It costs no attempts; single rows try
// whether it is over.
type outage struct {
	failures int // 0: there is none
	since    time.Time
	until    time.Time // when to try again
	probing  bool
	err      error
}

// room is how many rows may be published in one call.
func (o *outage) room(now time.Time, most int) int {
	switch {
	case o.failures == 0:
		return most
	case o.probing || now.Before(o.until):
		return 0
	}
	return 1
}

// fail begins or prolongs an outage, and reports whether it has begun. Calls that began before do
// not count again.
func (o *outage) fail(err error, now time.Time, probe bool) (begun bool) {
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
