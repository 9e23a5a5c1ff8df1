package flow_test

import (
	"testing"
	"time"

	"github.com/onceish/onceish/flow/flowtest"
)

func TestMemoryConformance(t *testing.T) {
	t.Parallel()
	flowtest.Run(t, flowtest.Harness{
		Virtual: true,
		New:     func(*testing.T) flowtest.Open { return (&flowtest.Memory{Latency: time.Millisecond}).Open },
	})
}
