package consumer

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/onceish/onceish/consumer/internal/protocol"
)

// receiverState is what the protocol made of the latest runs: whether the receiver can be reached,
// and how many handlers may run at once.
type receiverState struct {
	since, now time.Time
	reason     string
	down       bool
	allowed    int

	wasDown, wasSlow bool // as it was reported last
	downSince        time.Time
}

func (r *receiverState) readMachine(m *protocol.Machine, now time.Time) {
	r.since, r.reason, r.down = m.Unavailable()
	r.allowed, r.now = m.Allowed(), now
}

// receiverChange is a change that logChange logs.
type receiverChange int

const (
	receiverUnchanged receiverChange = iota
	receiverUnavailable
	receiverAvailable
	receiverThrottles
	receiverRecovered
)

// changeSinceReport is what has changed since the last report.
func (r *receiverState) changeSinceReport(concurrency int) receiverChange {
	slow := !r.down && r.allowed < concurrency && r.allowed <= concurrency/4
	switch {
	case r.down && !r.wasDown:
		return receiverUnavailable
	case !r.down && r.wasDown:
		return receiverAvailable
	case slow && !r.wasSlow:
		return receiverThrottles
	case r.wasSlow && r.allowed == concurrency:
		return receiverRecovered
	}
	return receiverUnchanged
}

// logChange logs when the receiver becomes unavailable or begins to throttle, and when
// that is over.
func (r *receiverState) logChange(log *slog.Logger, concurrency int) {
	switch r.changeSinceReport(concurrency) {
	case receiverUnchanged:
	case receiverUnavailable:
		r.wasDown, r.downSince = true, r.since
		log.Error("the receiver is unavailable: one event at a time is tried as a probe, and no attempts are counted", "error", r.reason)
	case receiverAvailable:
		r.wasDown, r.wasSlow = false, true // it speeds up from one at a time
		log.Info("the receiver is available again", "after", r.now.Sub(r.downSince).Round(time.Second))
	case receiverThrottles:
		r.wasSlow = true
		log.Warn("throttled: fewer handlers are started", "at_once", r.allowed, "concurrency", concurrency, "error", r.reason)
	case receiverRecovered:
		r.wasSlow = false
		log.Info("throttled no more: all handlers are started", "concurrency", concurrency)
	}
}

// receiverError is why next to nothing is started; nil if the receiver is available.
func receiverError(m *protocol.Machine) error {
	since, reason, down := m.Unavailable()
	if !down {
		return nil
	}
	return fmt.Errorf("the receiver is unavailable since %s: one event at a time is tried as a probe, the last one failed with: %s",
		since.UTC().Format(time.RFC3339), reason)
}
