package consumer

import (
	"context"
	"time"
)

// pollWatermark advances the watermark now and then.
func (e *engine) pollWatermark() {
	e.logLostEvents()
	for e.restUnlessDraining(e.pollInterval()) {
		ctx, cancel := e.callContext()
		if err := e.advanceWatermark(ctx); err != nil {
			e.o.Logger.Debug("the watermark was not advanced: trying again", "error", err)
		}
		cancel()
		e.warnOfLongPause()
		e.warnOfIsolation()
		e.logLostEvents()
	}
}

// pollInterval is how often the cursor's state is asked for, and the watermark advanced: often
// enough to notice a group that is about to be held back by the bus's bound, and far more often
// than marks expire.
func (e *engine) pollInterval() time.Duration {
	return min(10*time.Second, max(e.o.TTL/8, 50*time.Millisecond))
}

// advanceWatermark brings the bus's own floor into the store, and has the protocol go by what the
// bus says of its deadline and its clock.
func (e *engine) advanceWatermark(ctx context.Context) error {
	return e.cursor.Advance(ctx, e.stepCursor)
}

// logLostEvents tells of events that the stream dropped before this group handled them, also while
// nobody of it was there.
func (e *engine) logLostEvents() {
	if n := e.cursor.NewlyLost(); n > 0 {
		e.o.Logger.Error("the stream dropped events before this group handled them (retention or purge)", "topic", e.topic,
			"group", e.group, "at_most", n)
	}
}

// warnOfIsolation tells when an event whose process died keeps all others from being started.
func (e *engine) warnOfIsolation() {
	e.mu.Lock()
	runs, since := e.machine.Isolating()
	e.mu.Unlock()
	if runs > 0 && time.Since(since) > e.o.Lease {
		e.o.Logger.Warn("an event whose process died runs alone; nothing else is started until the handlers that began before have returned",
			"handlers", runs, "since", since, "topic", e.topic, "group", e.group)
	}
}

// warnOfLongPause warns of a pause that is about to outlast what the store remembers.
func (e *engine) warnOfLongPause() {
	e.mu.Lock()
	since := e.pausedSince
	e.mu.Unlock()
	if !since.IsZero() && time.Since(since) > e.o.TTL/2 {
		e.o.Logger.Warn("paused for so long that marks expire: resume, or raise TTL", "paused_since", since, "ttl", e.o.TTL)
	}
}
