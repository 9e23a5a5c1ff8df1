package consumer

import (
	"time"

	"github.com/onceish/onceish/consumer/internal/cursor"
	"github.com/onceish/onceish/consumer/internal/protocol"
)

// pollWatermark is the loop that advances the watermark, and warns of what goes on for too long.
func (e *engine) pollWatermark() {
	e.logLostEvents()
	for e.restUnlessDraining(e.pollInterval()) {
		ctx, cancel := e.callContext()
		if err := e.cursor.Advance(ctx, e.stepForCursor); err != nil {
			e.o.Logger.Debug("the watermark was not advanced; retrying", "error", err)
		}
		cancel()
		e.warnOfLongPause()
		e.warnOfIsolation()
		e.logLostEvents()
	}
}

// pollInterval is how often the state of the cursor is read, and the watermark advanced: often
// enough to notice a group that is about to reach the bus's bound, and far more often than marks
// expire.
func (e *engine) pollInterval() time.Duration {
	return min(10*time.Second, max(e.o.TTL/8, 50*time.Millisecond))
}

// logLostEvents logs how many events the stream dropped before this group handled them, also while
// none of its processes ran.
func (e *engine) logLostEvents() {
	if n := e.cursor.NewlyLost(); n > 0 {
		e.o.Logger.Error("the stream dropped events before this group handled them (retention or purge)", "topic", e.topic,
			"group", e.group, "at_most", n)
	}
}

// warnOfIsolation warns when an event whose process died keeps all others from being started.
func (e *engine) warnOfIsolation() {
	e.mu.Lock()
	runs, since := e.machine.Isolating()
	e.mu.Unlock()
	if runs > 0 && time.Since(since) > e.o.Lease {
		e.o.Logger.Warn("an event whose process died runs alone; nothing else is started until the handlers that began before have returned",
			"handlers", runs, "since", since, "topic", e.topic, "group", e.group)
	}
}

// warnOfLongPause warns of a pause that is about to outlast the marks.
func (e *engine) warnOfLongPause() {
	_, since := e.engines.paused()
	if !since.IsZero() && time.Since(since) > e.o.TTL/2 {
		e.o.Logger.Warn("paused for so long that marks expire: resume, or raise TTL", "paused_since", since, "ttl", e.o.TTL)
	}
}

// stepForCursor is stepMachine, for what the cursor needs of the Machine.
func (e *engine) stepForCursor(f func(cursor.Watermarked, time.Time)) {
	e.stepMachine(func(m *protocol.Machine, now time.Time) { f(m, now) })
}
