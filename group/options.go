package group

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// minHeartbeat keeps heartbeats apart from the noise of timers.
const minHeartbeat = 10 * time.Millisecond

// Options of Join. The zero value means the defaults.
type Options struct {
	// Name names the place of this process in its group, across starts: at most 256 bytes, without
	// control characters. Empty: it has none.
	Name string
	// Version is the version of the program: at most 256 bytes, without control characters.
	Version string
	// Heartbeat is how often the member's row is renewed and the pauses are read, whatever the
	// watch says: 10 ms to a third of the store's TTL. Zero: a third.
	Heartbeat time.Duration
	// Describe returns the member's subscriptions for its row. It must not block, and is not called
	// concurrently with itself or Apply. Nil: there are none.
	Describe func() []Subscription
	// Apply makes these the pauses of the process, and no others. It returns when nothing more that
	// is paused can start, for that is then confirmed. It is called by Join and by Run, only when
	// the pauses have changed, and not concurrently with itself. Nil: pauses are confirmed, and
	// only Status reports them.
	Apply func(paused []Paused)
	// Now returns the time of this machine. Nil: time.Now.
	Now func() time.Time
	// Logger is told of pauses, of losing and finding the store and of what needs an operator. Nil:
	// slog.Default().
	Logger *slog.Logger
}

func (o *Options) withDefaults(ttl time.Duration) (Options, error) {
	r := *cmp.Or(o, &Options{})
	r.Heartbeat = cmp.Or(r.Heartbeat, ttl/3)
	if r.Describe == nil {
		r.Describe = func() []Subscription { return nil }
	}
	if r.Apply == nil {
		r.Apply = func([]Paused) {}
	}
	if r.Now == nil {
		r.Now = time.Now
	}
	r.Logger = cmp.Or(r.Logger, slog.Default())
	if r.Heartbeat < minHeartbeat || r.Heartbeat > ttl/3 {
		return r, fmt.Errorf("%w: Heartbeat is %v: must be %v to %v, a third of the store's TTL",
			ErrInvalid, r.Heartbeat, minHeartbeat, ttl/3)
	}
	return r, errors.Join(validateText("Name", r.Name, 0, maxName), validateText("Version", r.Version, 0, maxName))
}
