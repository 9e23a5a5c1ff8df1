package jetstream

import (
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Messages in a stream that are no events:
//
//   - A delete marker (Nats-Marker-Reason) is stored by the server where the last message of a
//     subject was removed by age, purge or deletion. It has no data. What somebody published with
//     that header and with data is an event.
//   - A message schedule (Nats-Schedule) is an order to the server: publish this, then and there.
//     What the server publishes for it when it is due carries Nats-Scheduler instead, and is an
//     event. Where no stream can have schedules the header orders nothing, and its message is an
//     event.
//
// Everything else is what a producer has published, whatever it asks of the server beside: a rollup
// (Nats-Rollup) replaces older events and is one; of a counter (Nats-Incr) each increment is one,
// and its data is the total that the server made of it; the messages of a batch (Nats-Batch-…) are
// events, and a commit that is none is not stored; a TTL or an expectation is a condition of
// storing. A deletion in a key-value bucket (KV-Operation) is an event too: a client published it,
// for others to learn of it, and the handler sees the header.
const (
	markerReason    = "Nats-Marker-Reason"
	scheduleHeader  = "Nats-Schedule"
	messageSchedule = "message schedule"
)

// scheduleRedelivery is when a schedule is redelivered that cannot be acknowledged, because its
// stream would delete it and never publish what it is for.
const scheduleRedelivery = time.Minute

// serverMessage names what a message is if it is no event, and is empty for an event.
func serverMessage(m *nats.Msg, schedules bool) string {
	if len(m.Header) == 0 {
		return ""
	}
	if reason := m.Header.Get(markerReason); reason != "" && len(m.Data) == 0 {
		return "delete marker: " + reason
	}
	if schedules && m.Header.Get(scheduleHeader) != "" {
		return messageSchedule
	}
	return ""
}

// mayHaveSchedules reports whether a stream may have message schedules, its own or copied ones.
func mayHaveSchedules(c *jetstream.StreamConfig) bool {
	return c.AllowMsgSchedules || c.Mirror != nil || len(c.Sources) > 0
}
