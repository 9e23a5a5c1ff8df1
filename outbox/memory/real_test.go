package memory_test

import (
	"testing"
	"time"

	"github.com/onceish/onceish/outbox/outboxtest"
)

// In real time, as stores on a server are tested.
func TestInRealTime(t *testing.T) {
	t.Parallel()
	h := harness(0)
	h.Run, h.Many, h.Outage, h.Lease = nil, 500, 2*time.Second, time.Second
	outboxtest.Run(t, h)
	outboxtest.RunDrainer(t, h)
}
